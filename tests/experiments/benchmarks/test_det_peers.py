"""The numpy peers: Farrington's method against R's own figures, ESSENCE's switch by what it must do; runs of all."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks import runs
from experiments.benchmarks.detection import compare, essence, farrington, peers, plant, sets, simulated
from experiments.benchmarks.detection.peers import IN_NUMPY, PEERS
from experiments.benchmarks.detection.sets import PlantedSet
from experiments.benchmarks.detection.simulated import KINDS


def waves() -> pd.DataFrame:
    """Counts by a formula, so that R could be given the same: seasons, scatter, bursts at the end and a year and a half before."""
    day = np.arange(7 * 290)

    def wave(level: float, swing: float, step: int) -> np.ndarray:
        return np.floor(level * (1 + swing * np.cos(2 * np.pi * day / 364)) + (day * day * step % 11) * level / 10).astype(int)

    days = pd.date_range(end="2024-12-31", periods=len(day), name="date")
    counts = pd.DataFrame({"a|x": wave(3, 0.5, 3), "b|x": wave(20, 0.2, 5), "c|x": (day * day * 3 % 17 == 1).astype(int)}, index=days)
    for column, tickets in ((0, 12), (1, 60), (2, 2)):
        counts.iloc[[-9, -8, -7, -500, -499], column] += tickets
    return counts


# farringtonFlexible of surveillance 1.20.3 on these counts, as called in peers.R: the last fourteen days.
R_SCORES = {
    7: {
        "a|x": [-0.3123, -0.3831, -0.0751, 0.1213, 0.1914, 1.5106, 2.5223, 3.6269, 3.5658, 3.3744, 3.0503, 3.1365, 1.8578, 1.0],
        "b|x": [0.1375, 0.2334, -0.0844, -0.1371, 0.0492, 1.7479, 3.7666, 5.9686, 5.6574, 5.7604, 6.0806, 5.8561, 4.0216, 1.7958],
    },
    1: {
        "a|x": [0.2049, -0.0615, 0.4632, 0.3533, -0.1015, 2.7763, 2.3133, 2.5397, -0.3057, -0.0863, -0.329, 0.1845, -0.0839, 0.3565],
        "b|x": [-0.481, -0.1581, 0.0535, -0.0132, -0.1773, 3.9725, 5.1957, 4.5867, -0.6348, 0.1857, 0.7099, -0.4964, -0.1628, 0.0434],
    },
}
R_ALARMS = {
    7: {"a|x": range(5, 13), "b|x": range(5, 14), "c|x": range(7, 14)},
    1: {"a|x": range(5, 8), "b|x": range(5, 8), "c|x": ()},
}


@pytest.mark.parametrize("total", [7, 1])
def test_farringtons_method_gives_the_scores_and_alarms_of_r(total: int) -> None:
    counts = waves()
    score, alarm = farrington.detect(counts, counts.index[-14:], total)
    for name, expected in R_SCORES[total].items():
        assert score[name].to_numpy() == pytest.approx(expected, abs=1e-4)
    for name, expected_days in R_ALARMS[total].items():
        assert np.flatnonzero(alarm[name]).tolist() == list(expected_days), name


def test_a_regression_on_groups_alone_gives_their_means() -> None:
    group = np.repeat([0, 1, 2], 10)
    y = np.random.default_rng(0).poisson([3, 5, 9] @ (group == np.arange(3)[:, None]), (2, 30)).astype(float)
    design = np.column_stack([np.ones(30), group == 1, group == 2]).astype(float)
    weight = np.ones_like(y)
    weight[0, :3] = 0.1
    made = farrington.regress(design, np.array([1.0, 0, 1]), y, weight)
    assert made.now == pytest.approx((y * weight)[:, 20:].sum(axis=1) / weight[:, 20:].sum(axis=1))
    assert made.fitted[0, 0] == pytest.approx(np.average(y[0, :10], weights=weight[0, :10]))
    assert made.leverage.sum(axis=1) == pytest.approx(3)


@pytest.mark.parametrize("peer", IN_NUMPY)
def test_no_peer_looks_ahead(peer: str) -> None:
    counts, _ = simulated.simulate(0, KINDS[4:12:3], 2, 7 * 120)
    days = pd.DatetimeIndex(counts.index[-20:])
    later = counts.copy()
    later.iloc[-5:] += 50
    (before, _), (after, _) = IN_NUMPY[peer](counts, days), IN_NUMPY[peer](later, days)
    assert before.iloc[:-5].equals(after.iloc[:-5])
    assert (after.iloc[-5] > before.iloc[-5]).all()


def test_essence_alerts_a_burst_and_takes_a_weekly_pattern_for_usual() -> None:
    days = pd.date_range("2024-01-01", periods=140, name="date")
    week = np.tile([30, 28, 27, 26, 25, 5, 4], 20) + np.arange(140) % 3
    counts = pd.DataFrame({"a": week, "b": 3 + np.arange(140) ** 2 % 5})
    counts.index = days
    counts.iloc[120] += [40, 30]
    _, alarm = essence.detect(counts, days[100:])
    assert np.flatnonzero(alarm["a"]).tolist() == [20]
    assert np.flatnonzero(alarm["b"])[0] == 20


@pytest.fixture
def one(tmp_path: Path) -> PlantedSet:
    counts, _ = simulated.simulate(3, KINDS[4:10], 3, 3 * 364)
    made = sets.stored("boston-311-rodent", tmp_path)
    made.folder.mkdir()
    planted = plant.plant(counts, 0)
    for copy, frame in (("clean", planted.clean), ("planted", planted.counts)):
        plant.long(frame).to_parquet(made.folder / f"{copy}.parquet", index=False)
    planted.write(made.folder)
    return made


def test_a_numpy_peer_run_in_a_process_says_what_it_says_here(one: PlantedSet) -> None:
    for copy in sets.COPIES:
        record = runs.ensure(peers.run_of(one, copy, "ESSENCE"), str)
        assert record.error == ""
    made = peers.marks(one, "ESSENCE")
    assert made is not None
    marks, seconds = made
    score, alarm = essence.detect(one.planted.counts, one.days)
    assert marks.score == pytest.approx(score.to_numpy().T, rel=1e-5, abs=1e-6)
    assert marks.native is not None
    assert (marks.native == alarm.to_numpy().T).all()
    assert marks.clean is not None
    assert 0 < seconds < 1


def test_a_peer_that_fails_is_told_with_its_message_and_the_others_are_scored(one: PlantedSet) -> None:
    for peer in ("ESSENCE", "C1"):
        run = peers.run_of(one, "planted", peer)
        command = run.command if peer == "ESSENCE" else ("env", "there-is-no-such-program")
        runs.ensure(runs.Run(run.out, command, run.fingerprint), str)
    made = compare.collect(one, lambda text: None)
    assert "there-is-no-such-program" in made.failed["C1"]
    assert "ESSENCE" in made.marks
    assert set(made.table["detector"]) == {"ESSENCE", *[name for name in compare.KNOWING if name.startswith("two-sided")]}


def test_a_run_is_made_again_when_its_counts_or_its_code_change(one: PlantedSet) -> None:
    prints = {peer: peers.run_of(one, "planted", peer).fingerprint for peer in PEERS}
    assert len(set(prints.values())) == len(PEERS)
    assert all(peers.run_of(one, "clean", peer).fingerprint != prints[peer] for peer in PEERS)
