"""Scores of detectors: episodes, detection, false alarms, pairing, against small cases counted by hand and a slow oracle."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks.detection import agreement, scoring
from experiments.benchmarks.detection.plant import Planted
from experiments.benchmarks.detection.scoring import Events, Marks
from forecasting.errors import InputError

DAYS = pd.date_range("2024-01-01", periods=40, name="date")


def alarms(*days: int, length: int = 40) -> np.ndarray:
    row = np.zeros((1, length), bool)
    row[0, list(days)] = True
    return row


def truth(*events: tuple[str, int, int, int]) -> pd.DataFrame:
    frame = pd.DataFrame(events, columns=["series", "onset", "peak", "end"])
    return frame.assign(**{name: DAYS[frame[name].to_numpy()] for name in ("onset", "peak", "end")})


def events(*rows: tuple[str, int, int, int], series: tuple[str, ...] = ("a",), excess: dict[int, float] | None = None) -> Events:
    injected = pd.DataFrame(0.0, DAYS, list(series))
    for day, value in (excess or {}).items():
        injected.iloc[day, 0] = value
    return scoring.lay(truth(*rows), series, DAYS, injected)


def test_an_episode_begins_after_four_days_without_an_alarm() -> None:
    begun = scoring.starts(alarms(0, 4, 9, 14, 15))
    assert list(np.flatnonzero(begun[0])) == [0, 9, 14]


def test_an_event_is_detected_by_an_episode_that_starts_in_it() -> None:
    made = scoring.measure(alarms(12, 13), events(("a", 10, 13, 15), excess={10: 1, 11: 1, 12: 1, 13: 4, 14: 1, 15: 2}))
    assert (made["POD"], made["PODpre"], made["delay"], made["lead"]) == (1, 1, 2, 1)
    assert made["togo"] == pytest.approx(7 / 10)
    assert (made["FA_sy"], made["precision"], made["alarm_days"]) == (0, 1, 0)


def test_on_the_peak_day_it_is_detected_but_not_before_the_peak() -> None:
    made = scoring.measure(alarms(13), events(("a", 10, 13, 15)))
    assert (made["POD"], made["PODpre"], made["lead"]) == (1, 0, 0)


def test_an_alarm_that_was_on_already_or_is_always_on_detects_nothing() -> None:
    planted = events(("a", 10, 13, 15))
    assert scoring.measure(alarms(8, 11), planted)["POD"] == 0
    always = scoring.measure(np.ones((1, 40), bool), planted)
    assert (always["POD"], always["alarm_days"]) == (0, 1)


def test_a_start_after_an_event_is_false_only_when_the_grace_is_over() -> None:
    planted = events(("a", 10, 13, 15))
    eligible = 40 - 6 - 7
    assert scoring.measure(alarms(22), planted)["FA_sy"] == 0
    made = scoring.measure(alarms(23), planted)
    assert made["FA_sy"] == pytest.approx(365.25 / eligible)
    assert made["alarm_days"] == pytest.approx(1 / eligible)


def test_paired_credits_only_alarms_that_the_clean_copy_lacks_and_counts_false_ones_there() -> None:
    planted = events(("a", 10, 13, 15))
    same = scoring.measure(alarms(12, 30), planted, alarms(12, 30))
    assert (same["POD"], same["precision"]) == (0, 0)
    assert same["FA_sy"] == pytest.approx(2 * 365.25 / 40)
    gained = scoring.measure(alarms(12, 30), planted, alarms(30))
    assert gained["POD"] == 1
    assert gained["precision"] == pytest.approx(1 / 2)


def test_the_threshold_is_the_lowest_from_the_top_that_stays_within_the_budget() -> None:
    score = np.zeros((1, 40))
    score[0, [5, 15, 25, 35]] = [4, 3, 2, 1]
    eligible = np.ones_like(score, bool)
    two = 2 * 365.25 / 40
    level = scoring.threshold(score, eligible, two)
    assert scoring.false_rate(score > level, eligible) == pytest.approx(two)
    assert 2 <= level < 3


def test_missing_scores_are_the_least_and_infinite_ones_the_greatest() -> None:
    assert scoring.finite(np.array([[np.nan, 1.0, np.inf, 3.0]])).tolist() == [[1, 1, 4, 3]]


def test_events_elsewhere_or_on_other_days_do_not_count_and_one_that_outlasts_the_days_ends_with_them() -> None:
    frame = pd.concat([truth(("a", 30, 33, 35), ("b", 3, 4, 5)), truth(("a", 1, 1, 1)).assign(onset=pd.Timestamp("2023-12-31"))])
    frame["end"] = frame["end"].replace(DAYS[35], DAYS[39] + pd.Timedelta(days=5))
    made = scoring.lay(frame, ("a",), DAYS, pd.DataFrame(0.0, DAYS, ["a"]))
    assert made.onset.tolist() == [30]
    assert made.end.tolist() == [39]


def test_errors_come_from_drawing_series_not_events() -> None:
    """Ten series, five of which detect all of their hundred events: the share of a draw of ten series is binomial with n = 10."""
    row = np.repeat(np.arange(10), 100)
    hit = row < 5
    error = scoring._errors(np.stack([hit, hit]), row)
    assert error == pytest.approx(np.sqrt(0.25 / 10), rel=0.15)


def slow(alarm: np.ndarray, frame: list[tuple[int, int, int, int]]) -> dict[str, float]:
    """The definitions, day by day."""
    days = alarm.shape[1]
    begun = [[alarm[i, t] and not alarm[i, max(0, t - 4) : t].any() for t in range(days)] for i in range(len(alarm))]
    inside = {(i, t) for i, o, _, e in frame for t in range(o, e + 1)}
    grace = {(i, t) for i, _, _, e in frame for t in range(e + 1, e + 8)} - inside
    first = [next((t for t in range(o, e + 1) if begun[i][t]), None) for i, o, _, e in frame]
    free = [(i, t) for i in range(len(alarm)) for t in range(days) if (i, t) not in inside | grace]
    return {
        "POD": np.mean([f is not None for f in first]),
        "PODpre": np.mean([f is not None and f < p for f, (_, _, p, _) in zip(first, frame, strict=True)]),
        "FA_sy": sum(begun[i][t] for i, t in free) * 365.25 / len(free),
        "alarm_days": np.mean([alarm[i, t] for i, t in free]),
    }


def test_arrays_say_what_the_definitions_say_day_by_day() -> None:
    rng = np.random.default_rng(3)
    for _ in range(5):
        alarm = rng.random((4, 40)) < 0.12
        frame = [(int(i), o, o + int(rng.integers(0, 5)), o + 5) for i in range(4) for o in (3, 20)]
        laid = events(*[("abcd"[i], o, p, e) for i, o, p, e in frame], series=tuple("abcd"))
        made = scoring.measure(alarm, laid)
        for name, value in slow(alarm, frame).items():
            assert made[name] == pytest.approx(value), name


def test_the_table_has_a_row_per_budget_plain_and_paired_and_one_of_its_own_alarms() -> None:
    score = np.random.default_rng(0).random((1, 40))
    made = scoring.table(Marks(score, score > 0.9, score), events(("a", 10, 13, 15)))
    assert list(zip(made["measured"], made["at"], strict=True)) == [
        ("plain", "own"), *[("plain", b) for b in ("1", "2", "4")], *[("paired", b) for b in ("1", "2", "4")],
    ]  # fmt: skip


def test_a_split_by_size_adds_up_to_the_whole() -> None:
    planted = events(("a", 5, 6, 7), ("a", 20, 21, 22), ("b", 5, 6, 7), series=("a", "b"))
    planted.table["size"] = [2, 5, 2]
    score = np.zeros((2, 40))
    score[[0, 0], [5, 20]] = 1
    made = scoring.split(Marks(score), planted, ["size"], 2, False).set_index("value")
    assert made["events"].tolist() == [2, 1]
    assert made["POD"].tolist() == [0.5, 1.0]


def test_another_scorer_is_asked_and_its_difference_said(tmp_path: Path) -> None:
    frame = truth(("a", 10, 13, 15))
    planted = Planted(pd.DataFrame(0, DAYS, ["a"]), pd.DataFrame(0, DAYS, ["a"]), frame)
    marks = {"one": Marks(np.random.default_rng(0).random((1, 40)))}
    ours = scoring.table(marks["one"], events(("a", 10, 13, 15))).assign(detector="one")
    theirs = ours.rename(columns={"detector": "algo", "precision": "prec", "alarm_days": "dayFPR"})
    theirs["mode"] = [f"FA={b}/sy" for b in theirs["at"]]
    theirs["lead"] += (theirs["at"] == "4") * 0.25
    theirs["POD"] += 0.125
    theirs.drop(columns=["at", "measured"]).to_csv(tmp_path / "theirs.csv", index=False)
    scorer = tmp_path / "score.py"
    copy = f"import shutil, sys; shutil.copy({str(tmp_path / 'theirs.csv')!r}, sys.argv[sys.argv.index('--out') + 1])"
    scorer.write_text(copy)
    assert agreement.difference(scorer, planted, marks, ours) == pytest.approx(0.25 if ours["POD"].iloc[0] else 0.125)
    scorer.write_text("raise SystemExit('broken')")
    with pytest.raises(InputError, match="broken"):
        agreement.difference(scorer, planted, marks, ours)
    assert sys.executable
