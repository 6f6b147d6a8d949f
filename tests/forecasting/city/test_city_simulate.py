"""The city is the same whenever the same is asked for, refuses what it cannot do, and writes its files."""

from datetime import date
from pathlib import Path

import pandas as pd
import pytest

from forecasting.city import City, simulate, write
from forecasting.errors import InputError

FRAMES = ["areas", "categories", "tickets", "counts", "drivers", "truth_rates", "incidents", "faults"]


@pytest.fixture(scope="module")
def spring() -> City:
    return simulate(1, 0.05, date(2026, 3, 10), date(2026, 6, 20))


def test_the_same_arguments_give_the_same_frames(spring: City) -> None:
    again = simulate(1, 0.05, date(2026, 3, 10), date(2026, 6, 20))
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(spring, name), getattr(again, name))


def test_another_seed_gives_another_city(spring: City) -> None:
    other = simulate(2, 0.05, date(2026, 3, 10), date(2026, 6, 20))
    assert not spring.incidents.equals(other.incidents)
    assert not spring.truth_rates.equals(other.truth_rates)
    assert len(spring.tickets) != len(other.tickets)


def test_a_day_is_the_same_in_a_longer_simulation(spring: City) -> None:
    longer = simulate(1, 0.05, date(2025, 11, 20), date(2026, 7, 31))

    def part(frame: pd.DataFrame) -> pd.DataFrame:
        moment = "created_at" if "created_at" in frame else "date"
        return frame[(frame[moment] >= "2026-03-10") & (frame[moment] < "2026-06-21")].reset_index(drop=True)

    pd.testing.assert_frame_equal(part(spring.counts), part(longer.counts))
    same = ["ticket_id", "created_at", "district", "category", "received_at", "channel"]
    pd.testing.assert_frame_equal(part(spring.tickets)[same], part(longer.tickets)[same])
    rates = [
        city.truth_rates[city.truth_rates.date.between("2026-03-10", "2026-06-20")].sort_values(["district", "category", "date"], ignore_index=True)
        for city in (spring, longer)
    ]
    pd.testing.assert_frame_equal(*rates)


def test_the_frames_have_their_columns(spring: City) -> None:
    assert list(spring.areas) == ["code", "parent", "level", "zh", "en", "population"]
    columns = ["code", "parent", "level", "zh", "en", "lead_unit", "supporting_units", "time_limit", "safety"]
    assert list(spring.categories) == columns
    assert list(spring.counts) == ["district", "category", "date", "hour", "count"]
    assert list(spring.drivers) == ["name", "date", "value", "district", "issued_at"]
    assert list(spring.truth_rates) == ["district", "category", "date", "rate_without_incidents", "rate_with_incidents"]
    for name in ("areas", "categories", "counts", "truth_rates", "faults"):
        assert not getattr(spring, name).isna().to_numpy().any()


def test_the_category_tree_has_a_lead_and_a_supporting_unit_for_every_category(spring: City) -> None:
    tree = spring.categories
    assert tree.code.is_unique
    leaves = tree[tree.level == "l2"]
    assert set(leaves.parent) == set(tree[tree.level == "l1"].code)
    assert set(tree[tree.level == "l1"].parent) == {"ALL"}
    assert (leaves[["zh", "en", "lead_unit", "supporting_units", "time_limit"]] != "").all(axis=None)
    assert set(spring.tickets.category) <= set(leaves.code)


@pytest.mark.parametrize(
    ("seed", "scale", "start", "end", "where"),
    [
        (-1, 0.1, date(2024, 1, 1), date(2024, 12, 31), "seed"),
        (0, 0.0, date(2024, 1, 1), date(2024, 12, 31), "scale"),
        (0, -1.0, date(2024, 1, 1), date(2024, 12, 31), "scale"),
        (0, 2.1, date(2024, 1, 1), date(2024, 12, 31), "scale"),
        (0, float("nan"), date(2024, 1, 1), date(2024, 12, 31), "scale"),
        (0, 0.1, date(2024, 12, 31), date(2024, 1, 1), "start, end"),
        (0, 0.1, date(2024, 1, 1), date(2024, 2, 28), "start, end"),
        (0, 0.1, date(1900, 1, 1), date(1901, 1, 1), "start, end"),
    ],
)
def test_what_cannot_be_simulated_is_refused(seed: int, scale: float, start: date, end: date, where: str) -> None:
    with pytest.raises(InputError) as caught:
        simulate(seed, scale, start, end)
    assert caught.value.where == where


def test_the_shortest_city_has_sixty_days_and_progress_is_told_by_year() -> None:
    told: list[str] = []
    city = simulate(0, 0.02, date(2024, 12, 1), date(2025, 1, 29), told.append)
    assert city.counts.date.nunique() == 60
    assert told == ["simulating 2024", "simulating 2025"]


def test_the_files_say_what_the_frames_say(spring: City, tmp_path: Path) -> None:
    out = tmp_path / "new" / "city"
    write(spring, out)
    assert sorted(p.relative_to(out).as_posix() for p in out.rglob("*.*")) == [
        "areas.csv",
        "categories.csv",
        "counts.parquet",
        "drivers.parquet",
        "tickets.parquet",
        "truth/faults.csv",
        "truth/incidents.csv",
        "truth/truth_rates.parquet",
    ]
    for name in ("tickets", "counts", "drivers"):
        read = pd.read_parquet(out / f"{name}.parquet")
        pd.testing.assert_frame_equal(read, getattr(spring, name), check_dtype=False)
    areas = pd.read_csv(out / "areas.csv", dtype={"code": "str"})
    pd.testing.assert_frame_equal(areas, spring.areas)
    assert len(pd.read_csv(out / "truth" / "incidents.csv")) == len(spring.incidents)


def test_a_folder_that_cannot_be_written_is_refused(spring: City, tmp_path: Path) -> None:
    taken = tmp_path / "file"
    taken.write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write(spring, taken)
