"""A driver is seen as it was known when a forecast was issued, never as it became known later."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.drivers import CLIMATE_WINDOW, LONGEST_LEAD, STALE_AFTER, YEAR, Drivers, from_frame
from forecasting.errors import InputError
from forecasting.hierarchy import ALL

DAY0 = pd.Timestamp("2023-01-01")


def day(n: float) -> pd.Timestamp:
    return DAY0 + pd.Timedelta(days=n)


def table(*rows: tuple[int, float, float | None] | tuple[int, float, float | None, str]) -> pd.DataFrame:
    """Rows of number of the day, value, number of the day (and part of it) of issue, and optionally a district."""
    return pd.DataFrame(
        [
            {
                "name": "t",
                "date": day(r[0]),
                "value": r[1],
                "issued_at": pd.NaT if r[2] is None else day(r[2]),
                "district": r[3] if len(r) > 3 else None,
            }
            for r in rows
        ]
    )


def seen(drivers: Drivers, origin: int, back: int = 0, ahead: int = 3, area: str = ALL) -> list[float]:
    values, _ = drivers.known(pd.DatetimeIndex([day(origin)]), back, ahead)
    return list(values[0, drivers.rows(np.array([area]))[0], 0])


def test_days_up_to_the_origin_are_observed_and_later_ones_forecast() -> None:
    drivers = from_frame(table(*[(t, t, None) for t in range(10)], *[(t, 100 + t, 4) for t in range(5, 10)]))
    assert seen(drivers, 4, back=2, ahead=3) == [2, 3, 4, 105, 106, 107]


def test_an_observation_after_the_origin_is_never_seen() -> None:
    drivers = from_frame(table(*[(t, 1.0, None) for t in range(5)], (5, 99.0, None), (6, 99.0, None)))
    assert seen(drivers, 4, ahead=2) == [1, 1, 1]


def test_a_forecast_issued_after_the_origin_is_never_seen() -> None:
    drivers = from_frame(table(*[(t, 1.0, None) for t in range(5)], (7, 50.0, 4), (7, 99.0, 5), (7, 98.0, 6)))
    assert seen(drivers, 4, ahead=3)[-1] == 50


def test_the_newest_issue_by_the_origin_wins() -> None:
    drivers = from_frame(table((0, 1.0, None), (7, 10.0, 2), (7, 30.0, 4), (7, 20.0, 3)))
    assert seen(drivers, 4, ahead=3)[-1] == 30
    assert seen(drivers, 3, ahead=4)[-1] == 20
    assert seen(drivers, 2, ahead=5)[-1] == 10


def test_of_several_issues_on_a_day_the_last_one_counts_whatever_the_order_of_the_rows() -> None:
    rows = [(7, 10.0, 4.25), (7, 30.0, 4.75), (7, 20.0, 4.5)]
    for order in ([0, 1, 2], [1, 2, 0], [2, 0, 1]):
        assert seen(from_frame(table((0, 1.0, None), *[rows[i] for i in order])), 4)[-1] == 30


def test_a_late_forecast_is_replaced_by_an_older_one_but_not_for_ever() -> None:
    drivers = from_frame(table(*[(t, 1.0, None) for t in range(12)], (12, 50.0, 4)))
    newest_ok = 4 + STALE_AFTER - 1
    assert seen(drivers, newest_ok, ahead=12 - newest_ok)[-1] == 50
    assert seen(drivers, newest_ok + 1, ahead=12 - newest_ok - 1)[-1] == 1


def test_a_missing_observation_of_the_day_itself_is_filled_by_the_forecast_of_the_day_before() -> None:
    drivers = from_frame(table((0, 1.0, None), (1, 2.0, None), (2, 33.0, 1)))
    assert seen(drivers, 2, ahead=0) == [33]


def test_a_forecast_issued_on_its_own_day_or_later_is_not_one_and_is_left_out() -> None:
    drivers = from_frame(table(*[(t, 1.0, None) for t in range(5)], (5, 77.0, 5.5), (5, 78.0, 6)))
    assert seen(drivers, 4, ahead=1)[-1] == 1
    assert not (drivers.observed[0, 0] >= 77).any()


def test_without_forecast_and_without_earlier_years_the_last_four_weeks_count() -> None:
    drivers = from_frame(table(*[(t, 1000.0 if t < 12 else 5.0, None) for t in range(40)]))
    assert seen(drivers, 39, ahead=2) == [5, 5, 5]


def test_without_forecast_the_same_season_of_earlier_years_counts() -> None:
    rng = np.random.default_rng(0)
    observed = rng.normal(0, 10, 900)
    drivers = from_frame(table(*[(t, v, None) for t, v in enumerate(observed)]))
    half = CLIMATE_WINDOW // 2
    for ahead in (1, 20, 90):
        target = 899 + ahead
        windows = [observed[target - YEAR * k - half : target - YEAR * k + half + 1] for k in (1, 2) if target - YEAR * k + half < 900]
        want = np.mean([w.mean() for w in windows if len(w)])
        assert seen(drivers, 899, ahead=ahead)[-1] == pytest.approx(want)


def test_the_mask_tells_what_is_known_from_what_is_filled_in() -> None:
    drivers = from_frame(table(*[(t, 1.0, None) for t in (0, 1, 3, 4)], (5, 9.0, 4)))
    values, given_mask = drivers.known(pd.DatetimeIndex([day(4)]), 3, 2)
    assert given_mask[0, 0, 0].tolist() == [True, False, True, True, True, False]
    assert np.isfinite(values).all()


def test_what_nothing_tells_is_not_filled_in() -> None:
    drivers = from_frame(table((0, 10.0, None), (50, 12.0, None)))
    assert np.isnan(seen(drivers, 40, ahead=2)).all()
    assert seen(drivers, 50, ahead=0) == [12]


def test_a_forecast_issued_before_any_horizon_is_left_out_and_costs_nothing() -> None:
    drivers = from_frame(table((0, 1.0, None), (100, 50.0, 100 - LONGEST_LEAD), (101, 60.0, -20_000)))
    assert drivers.forecast.shape[-1] == LONGEST_LEAD
    assert drivers.forecast[~np.isnan(drivers.forecast)].tolist() == [50]
    assert from_frame(table((0, 1.0, None), (101, 60.0, -20_000))).forecast.shape[-1] == 1


def test_the_oldest_forecast_that_a_horizon_may_read_is_kept() -> None:
    drivers = from_frame(table((0, 1.0, None), (100, 50.0, 100 - LONGEST_LEAD + 1)))
    assert seen(drivers, 100 - LONGEST_LEAD + STALE_AFTER, ahead=LONGEST_LEAD - STALE_AFTER)[-1] == 50


def test_drivers_of_which_nothing_is_known_yet_are_not_there() -> None:
    none = from_frame(table((5, 1.0, None), (6, 2.0, None, "a"))).until(day(4))
    assert (none.names, none.areas, len(none.observed)) == ((), (ALL,), 0)
    values, given_mask = none.until(day(3)).known(pd.DatetimeIndex([day(2)]), 1, 1)
    assert values.shape == given_mask.shape == (0, 1, 1, 3)


def test_a_district_without_values_of_its_own_gets_the_city_s() -> None:
    drivers = from_frame(table((0, 10.0, None), (0, 3.0, None, "cold"), (1, 11.0, None)))
    assert seen(drivers, 0, ahead=0, area="cold") == [3]
    assert seen(drivers, 0, ahead=0, area="other") == [10]
    assert seen(drivers, 1, ahead=0, area="cold") == [11]


def test_a_city_without_values_of_its_own_gets_the_mean_of_its_districts() -> None:
    drivers = from_frame(table((0, 10.0, None, "a"), (0, 20.0, None, "b"), (1, 5.0, 0, "a"), (1, 7.0, 0, "b")))
    assert seen(drivers, 0, ahead=1) == [15, 6]


def test_a_blank_district_means_the_city() -> None:
    assert from_frame(table((0, 10.0, None, ""), (0, 4.0, None, "a"))).areas == (ALL, "a")


def test_a_table_without_issue_and_district_is_observations_of_the_city() -> None:
    drivers = from_frame(pd.DataFrame({"name": ["t", "rain"], "date": ["2023-01-01", "2023-01-02"], "value": ["1.5", 2]}))
    assert drivers.names == ("rain", "t")
    assert drivers.observed[1, 0, 0] == 1.5


@pytest.mark.parametrize("column", ["name", "date", "value"])
def test_a_missing_column_is_named(column: str) -> None:
    with pytest.raises(InputError, match=f"no column '{column}'"):
        from_frame(table((0, 1.0, None)).drop(columns=column))


def test_no_rows_are_an_error() -> None:
    with pytest.raises(InputError, match="no rows"):
        from_frame(table((0, 1.0, None)).iloc[:0])


@pytest.mark.parametrize("wrong", [np.nan, np.inf, "warm"])
def test_a_value_that_is_no_number_is_named_with_driver_and_date(wrong: object) -> None:
    with pytest.raises(InputError, match="driver 't' on 2023-01-03: value is not a number"):
        from_frame(table((0, 1.0, None), (2, 1.0, None)).astype({"value": object}).assign(value=[1.0, wrong]))


rows_of_drivers = st.lists(
    st.tuples(st.integers(0, 30), st.integers(-20, 40), st.none() | st.integers(-5, 33), st.sampled_from([None, "a", "b"])), min_size=1, max_size=40
)


@settings(max_examples=60, deadline=None)
@given(rows=rows_of_drivers, origin=st.integers(0, 30), seed=st.integers(0, 9))
def test_what_is_seen_from_an_origin_does_not_change_with_the_future(
    rows: list[tuple[int, int, int | None, str | None]], origin: int, seed: int
) -> None:
    base = [(0, 5, None, None), (0, 5, None, "a"), (0, 5, None, "b"), *rows]
    frame = table(*base)
    known_from = frame["issued_at"].fillna(frame["date"])
    later = (known_from > day(origin)).to_numpy()
    changed = frame.assign(value=np.where(later, np.random.default_rng(seed).normal(0, 999, len(frame)), frame["value"]))
    end = day(40)
    origins = pd.DatetimeIndex([day(t) for t in range(origin + 1)])
    new = table((origin + 1, 77, None, "new"), (origin + 3, 78, origin + 1, "new"))
    more = pd.concat([changed, new, new.assign(name="rain", district=None)])
    known = from_frame(frame[~later], end)
    before = look(known, origins)
    for other in (from_frame(frame, end), from_frame(changed, end), from_frame(more, end)):
        for drivers in (other, other.until(day(origin))):
            for want, got in zip(before, look(drivers, origins), strict=True):
                np.testing.assert_array_equal(got, want)
        assert (drivers.names, drivers.areas) == (known.names, known.areas)
        np.testing.assert_array_equal(drivers.observed, known.observed)


def look(drivers: Drivers, origins: pd.DatetimeIndex) -> tuple[np.ndarray, ...]:
    """What the areas see of the driver t: values and mask."""
    rows = drivers.rows(np.array([ALL, "a", "b"]))
    return tuple(x[drivers.names.index("t"), rows] for x in drivers.known(origins, 4, 9))


def test_what_is_cut_at_a_day_holds_nothing_of_a_later_one() -> None:
    drivers = from_frame(table(*[(t, t, None) for t in range(10)], (8, 50.0, 4), (8, 60.0, 5), (9, 70.0, 6)))
    cut = drivers.until(day(5))
    assert np.flatnonzero(~np.isnan(cut.observed[0, 0])).tolist() == [0, 1, 2, 3, 4, 5]
    assert sorted(cut.forecast[~np.isnan(cut.forecast)]) == [50, 60]
