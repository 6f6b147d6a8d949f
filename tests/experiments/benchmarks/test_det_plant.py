"""Planted incidents: whole tickets, known places, room between them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks.detection import plant, simulated
from experiments.benchmarks.detection.plant import LENGTHS, PLANTED_DAYS, SIZES, Planted
from experiments.benchmarks.detection.scoring import GRACE
from experiments.benchmarks.detection.simulated import Kind


@pytest.fixture(scope="module")
def planted() -> Planted:
    kinds = tuple(Kind(mean, 0.0, 0.2, 0.8, 0.1, 0.0) for mean in (0.02, 0.5, 2.0, 10.0, 50.0))
    counts, _ = simulated.simulate(1, kinds, 12, 2 * PLANTED_DAYS + 30)
    return plant.plant(counts, 2)


def test_only_the_planted_year_of_series_with_tickets_is_changed_and_tickets_are_whole(planted: Planted) -> None:
    added = planted.counts - planted.clean
    assert (added.iloc[:-PLANTED_DAYS] == 0).all(axis=None)
    assert (added.loc[planted.injected.index] == planted.injected).all(axis=None)
    assert (added >= 0).all(axis=None)
    assert all(kind.kind == "i" for kind in planted.counts.dtypes)
    assert not any(name.endswith("K01") for name in planted.clean.columns)


def test_the_truth_tells_each_planted_ticket(planted: Planted) -> None:
    left = planted.injected.copy()
    for event in planted.truth.itertuples():
        part = left.loc[event.onset : event.end, event.series]
        assert part.sum() == event.tickets > 0
        assert part.loc[event.peak] == part.max()
        assert len(part) == event.days
        left.loc[event.onset : event.end, event.series] = 0
    assert (left == 0).all(axis=None)


def test_events_of_a_series_and_their_graces_lie_apart_and_inside_the_year(planted: Planted) -> None:
    for _, events in planted.truth.sort_values("onset").groupby("series"):
        onset, end = events["onset"].to_numpy(), events["end"].to_numpy()
        assert (onset[1:] > end[:-1] + np.timedelta64(GRACE, "D")).all()
    assert planted.truth["onset"].min() >= planted.injected.index[0]
    assert planted.truth["end"].max() + pd.Timedelta(days=GRACE) <= planted.injected.index[-1]


def test_every_shape_size_and_spread_occurs(planted: Planted) -> None:
    assert set(planted.truth["shape"]) == set(LENGTHS)
    assert set(planted.truth["size"]) == set(SIZES)
    assert set(planted.truth["spread"]) == {"series", "districts", "category"}
    assert planted.truth["days"].between(1, 21).all()


def test_a_spread_event_is_one_of_one_category_at_one_time(planted: Planted) -> None:
    shared = planted.truth[planted.truth["spread"] != "series"].assign(category=lambda t: t["series"].str.split("|").str[1])
    same = shared.groupby("event")[["onset", "end", "shape", "size", "category"]].nunique()
    assert (same == 1).all(axis=None)
    number = shared.groupby(["event", "spread"]).size()
    assert number.xs("districts", level="spread").between(2, 5).all()
    assert (number.xs("category", level="spread") == 12).all()


def test_an_event_is_as_high_as_its_size_in_deviations_of_the_year_before(planted: Planted) -> None:
    deviation = planted.clean.iloc[-2 * PLANTED_DAYS : -PLANTED_DAYS].std()
    steps = planted.truth[(planted.truth["shape"] == "step") & planted.truth["series"].str.endswith("K05")]
    height = steps["tickets"] / steps["days"] / deviation[steps["series"]].to_numpy()
    assert np.average(height / steps["size"], weights=steps["tickets"]) == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("shape", "days"), [(shape, days) for shape, lengths in LENGTHS.items() for days in lengths])
def test_a_shape_is_one_on_its_highest_day_and_never_below_zero(shape: str, days: int) -> None:
    height = plant.profile(shape, days)
    assert height.shape == (days,)
    assert height.max() == pytest.approx(1)
    assert height.min() > 0


def test_shapes_are_what_they_are_called() -> None:
    assert plant.profile("ramp", 4).tolist() == [0.25, 0.5, 0.75, 1]
    assert plant.profile("spike", 3).tolist() == [1, 0.5, 0.25]
    bell = plant.profile("lognormal", 21)
    assert 2 <= bell.argmax() <= 5
    assert bell[-1] < 0.1


def test_another_seed_plants_elsewhere_and_the_same_one_the_same(planted: Planted) -> None:
    counts = planted.clean
    assert plant.plant(counts, 2).truth.equals(plant.plant(counts, 2).truth)
    assert not plant.plant(counts, 8).truth.equals(plant.plant(counts, 2).truth)


def test_what_is_written_is_read_again(planted: Planted, tmp_path: Path) -> None:
    planted.write(tmp_path)
    again = plant.read(tmp_path)
    assert again.clean.equals(planted.clean)
    assert again.injected.equals(planted.injected)
    assert again.truth.astype(str).equals(planted.truth.astype(str))


def test_long_and_wide_are_each_others_inverse() -> None:
    counts = pd.DataFrame({"a|x": [0, 2, 0], "b|y|z": [1, 0, 3]}, pd.date_range("2024-01-01", periods=3, name="date"))
    rows = plant.long(counts)
    assert set(rows["category"]) == {"x", "y|z"}
    assert plant.wide(rows).equals(counts)
