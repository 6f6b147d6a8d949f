"""The running day: what is known so far beside the finished days."""

from datetime import date

import numpy as np
import pytest
import storms
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from forecasting.detection import running_day
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import Finding
from forecasting.intraday import Profiles

DAY = date(2025, 11, 15)
HOURS = np.array([1, 1, 1, 1, 1, 2, 4, 7, 10, 10, 9, 8, 6, 7, 8, 8, 7, 6, 5, 4, 3, 3, 2, 2], float)
SHARE = (HOURS / HOURS.sum()).cumsum()
MEAN = 20.0


def before(level: float = MEAN) -> Days:
    """Finished days as expected, and the running one, of which nothing has been filled in."""
    days = storms.days(storms.bottom(level), storms.bottom(level))
    days.observed[:, -1] = np.nan
    return days


def known(change: dict[tuple[str, str], np.ndarray] | None = None, level: float = MEAN) -> np.ndarray:
    """[M, 24] known at the end of each hour; some series have other tickets an hour."""
    by_hour = np.tile(level * HOURS / HOURS.sum(), (len(storms.SERIES), 1))
    for series, tickets in (change or {}).items():
        by_hour[storms.at(*series)] = tickets
    return storms.CITY.total(by_hour.cumsum(axis=1))


SHARES = np.tile(SHARE, (len(storms.PAIRS), 1))


def found(tickets: np.ndarray, hour: int, budget: float = 0.1, share: np.ndarray = SHARES, days: Days | None = None) -> list[Finding]:
    return running_day.detect(DAY, days or before(), tickets, share, hour, storms.AREAS, storms.KINDS, Labels(), budget=budget)


def burst(begin: int, each: float) -> np.ndarray:
    """Tickets an hour of a series in which from an hour on so many more come."""
    return MEAN * HOURS / HOURS.sum() + np.where(np.arange(24) >= begin, each, 0.0)


@settings(max_examples=50, deadline=None)
@given(hour=st.integers(0, 23), seed=st.integers(0, 10**6))
def test_the_columns_of_the_running_day_add_up_to_the_day_so_far(hour: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    tickets = rng.poisson(1.0, (len(storms.PAIRS), 24)).cumsum(axis=1).astype(float)
    days = before()
    got = running_day.columns(days, tickets, SHARES, hour)
    assert got.observed.shape == got.mean.shape == got.dispersion.shape
    parts = slice(-3, None)
    assert_allclose(got.observed[:, parts].sum(axis=1), tickets[:, hour])
    assert_allclose(got.mean[:, parts].sum(axis=1), days.mean[:, -1] * SHARE[hour])
    last = tickets[:, hour] - (tickets[:, hour - running_day.SPAN] if hour >= running_day.SPAN else 0.0)
    assert_allclose(got.observed[:, -1], last)
    assert (got.observed[:, parts] >= 0).all()
    finished = got.observed.shape[1] - 3
    assert_array_equal(got.observed[:, :-3], days.observed[:, -1 - finished : -1])
    assert_array_equal(got.mean[:, :-3], days.mean[:, -1 - finished : -1])


@pytest.mark.parametrize("hour", [0, 4, 11, 22])
def test_later_hours_are_not_looked_at(hour: int) -> None:
    tickets = known({("d2", "HEAT"): burst(hour - 1, 15.0)})
    later = tickets.copy()
    later[:, hour + 1 :] = np.nan
    assert found(later, hour) == found(tickets, hour)
    share = SHARES.copy()
    share[:, hour + 1 :] = np.nan
    assert found(tickets, hour, share=share) == found(tickets, hour)


def test_a_day_as_expected_has_no_finding_at_any_hour() -> None:
    assert [found(known(), hour) for hour in range(24)] == [[]] * 24


def test_a_burst_at_nine_is_found_by_noon_where_it_is() -> None:
    tickets = known({("d2", "HEAT"): burst(9, 15.0)})
    assert [f for hour in range(9) for f in found(tickets, hour)] == []
    (one,) = found(tickets, 11)
    assert (one.kind, one.area, one.category, one.onset, one.day) == ("SPIKE", "d2", "HEAT", DAY, DAY)
    assert one.observed == pytest.approx(tickets[storms.at("d2", "HEAT"), 11])
    assert one.expected == pytest.approx(MEAN * SHARE[11])
    assert [p.district for p in one.districts] == ["d2"]


def test_a_burst_over_the_city_is_one_finding_of_the_city_within_the_day() -> None:
    (one,) = found(known({(d, "WATER"): burst(9, 10.0) for d in storms.DISTRICTS}), 13)
    assert (one.area, one.category, {p.district for p in one.districts}) == ("ALL", "WATER", set(storms.DISTRICTS))


def test_an_hour_asks_for_more_than_a_finished_day_for_it_looks_more_often() -> None:
    """Of bursts that grow, the first that a finished day shows is no finding of the last hour's look."""
    rest = np.tile(SHARE, (len(storms.PAIRS), 1))
    for each in np.arange(0.25, 6, 0.25):
        tickets = known({("d2", "HEAT"): burst(0, each)})
        finished = before()
        finished.observed[:, -1] = tickets[:, -1]
        by_day = running_day.excess.detect(DAY, finished, storms.AREAS, storms.KINDS, Labels(), budget=0.1)
        if by_day:
            assert not found(tickets, 23, share=rest)
            return
    pytest.fail("none was found by day")


def test_a_node_whose_tickets_are_not_known_has_no_finding() -> None:
    tickets = known({("d2", "HEAT"): burst(9, 15.0)})
    tickets[[storms.at("d2", c) for c in ("HEAT", "PUBLIC", "ALL")]] = np.nan
    assert {f.area for f in found(tickets, 12)} <= {"ALL"}


def test_what_is_known_by_an_hour_is_the_profile_s_share_of_what_is_known_on_the_day() -> None:
    shares = np.stack([np.stack([HOURS, HOURS[::-1]]), np.ones((2, 24))]) / np.array([HOURS.sum(), 24])[:, None, None]
    profiles = Profiles({"HEAT": ("HEAT", "ALL"), "NOISE": ("NOISE", "ALL")}, shares)
    working, free = (running_day.known_by(profiles, 0.8, w) for w in (True, False))
    assert_allclose(working[0], 0.8 * SHARE)
    assert_allclose(free[0], 0.8 * HOURS[::-1].cumsum() / HOURS.sum())
    assert_allclose(working[1], 0.8 * np.arange(1, 25) / 24)
    rows = running_day.shares_of(["NOISE", "HEAT", "new"], profiles, working)
    assert_allclose(rows[:2], working[[1, 0]])
    assert_allclose(rows[2], working.mean(axis=0))
