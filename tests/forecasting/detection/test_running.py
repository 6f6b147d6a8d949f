"""Events that run: raised once, followed, gone up a level, over after some usual days."""

from dataclasses import replace
from datetime import date, timedelta
from math import inf
from operator import attrgetter

import pytest

from forecasting.detection import running
from forecasting.detection.events import LONGEST, USUAL_DAYS
from forecasting.detection.finding import DATA, EMERGING, FIRST_SEEN, SPIKE, Finding, Part
from forecasting.detection.running import Running
from forecasting.hierarchy import ALL, Tree

FIRST = date(2025, 6, 1)
AREAS = Tree.flat(["d1", "d2", "d3", "d4"])
KINDS = Tree.flat(["HEAT", "NOISE", "WATER"])
OF_FINDING = attrgetter("peak")  # as if nothing came before it


def finding(
    area: str = "d1", category: str = "HEAT", level: str = "blue", day: date = FIRST, kind: str = SPIKE, onset: date | None = None
) -> Finding:
    parts = tuple(Part(d, 40, 20) for d in (["d1", "d2", "d3"] if area == ALL else [area]))
    return Finding(kind, level, area, category, parts, day, onset or day, day, 40.0, 20.0, 12.0, 29.0, 40.0, 20.0, 1e-5, "多", "more")


class Days:
    """Events carried from day to day."""

    def __init__(self) -> None:
        self.running: list[Running] = []
        self.told: list[Running] = []
        self.day = FIRST

    def pass_(self, *found: Finding, silent: bool = False) -> list[Running]:
        """A day with its findings; what it tells."""
        found = tuple(replace(f, day=self.day, onset=min(f.onset, self.day), peak=max(f.peak, f.onset)) for f in found)
        self.running, told, _ = running.carry(self.running, found, self.day, AREAS, KINDS, [silent] * len(self.running), inf, OF_FINDING)
        self.told += told
        self.day += timedelta(days=1)
        return told


def test_an_event_is_raised_once_and_followed() -> None:
    days = Days()
    (first,) = days.pass_(finding())
    assert [days.pass_(finding()) for _ in range(5)] == [[]] * 5
    (one,) = days.running
    assert one.alert_id == first.alert_id
    assert one.finding.day == FIRST + timedelta(days=5)
    assert one.finding.onset == FIRST


def test_it_tells_again_when_it_goes_up_a_level_and_never_goes_down() -> None:
    days = Days()
    levels = ["blue", "blue", "orange", "yellow", "orange", "red", "blue"]
    told = [[(t.alert_id, t.finding.level) for t in days.pass_(finding(level=level))] for level in levels]
    name = days.running[0].alert_id
    assert told == [[(name, "blue")], [], [(name, "orange")], [], [], [(name, "red")], []]
    assert days.running[0].finding.level == "red"


def test_its_onset_is_the_earliest_that_was_found() -> None:
    days = Days()
    days.pass_(finding())
    days.pass_(finding(onset=FIRST - timedelta(days=3)))
    days.pass_(finding())
    assert days.running[0].finding.onset == FIRST - timedelta(days=3)


def test_it_is_over_after_some_usual_days_and_then_raised_anew() -> None:
    days = Days()
    (first,) = days.pass_(finding())
    for left in range(USUAL_DAYS, 0, -1):
        assert len(days.running) == 1, left
        days.pass_()
    assert days.running == []
    (again,) = days.pass_(finding())
    assert again.alert_id != first.alert_id


def test_a_day_with_it_in_between_begins_the_usual_days_anew() -> None:
    days = Days()
    for _ in range(3):
        days.pass_(finding())
        for _ in range(USUAL_DAYS - 1):
            days.pass_()
    assert len(days.told) == len(days.running) == 1


def test_days_without_data_are_no_usual_days_but_not_for_ever() -> None:
    days = Days()
    days.pass_(finding())
    for _ in range(LONGEST - 1):
        days.pass_(silent=True)
        assert len(days.running) == 1
    days.pass_(silent=True)
    assert days.running == []


def test_while_a_day_runs_no_event_is_over() -> None:
    (one,), *_ = running.carry([], [finding()], FIRST, AREAS, KINDS, [], inf, OF_FINDING)
    kept = [one]
    for hour in range(40):
        kept, told, _ = running.carry(kept, [], FIRST + timedelta(days=1 + hour // 20), AREAS, KINDS, None, inf, OF_FINDING)
        assert (kept, told) == ([one], [])


def test_what_was_found_within_the_day_makes_it_no_usual_day() -> None:
    (one,), *_ = running.carry([], [finding()], FIRST, AREAS, KINDS, [], inf, OF_FINDING)
    (kept,), *_ = running.carry([one], [], FIRST, AREAS, KINDS, [False], inf, OF_FINDING)
    assert kept.usual_days == 0


def test_the_first_alert_goes_on_where_two_events_become_one() -> None:
    days = Days()
    one, two = days.pass_(finding("d1"), finding("d2", level="yellow"))
    (told,) = days.pass_(finding(ALL, level="red"))
    assert told.alert_id in (one.alert_id, two.alert_id)
    assert [r.alert_id for r in days.running] == [told.alert_id]
    assert days.running[0].finding.area == ALL
    assert days.pass_(finding("d2", level="red"), finding("d3", level="yellow")) == [], "parts of the city's event raise nothing"


def test_events_of_other_categories_and_districts_stay_apart() -> None:
    days = Days()
    days.pass_(finding("d1"), finding("d2"), finding("d1", "NOISE"))
    days.pass_(finding("d2"), finding("d3"))
    assert len(days.running) == len({r.alert_id for r in days.told}) == len(days.told) == 4


@pytest.mark.parametrize(
    ("kinds", "kind"), [((EMERGING, SPIKE), SPIKE), ((SPIKE, EMERGING), SPIKE), ((FIRST_SEEN, EMERGING), EMERGING), ((SPIKE, FIRST_SEEN), SPIKE)]
)
def test_what_emerges_may_become_a_spike_and_nothing_goes_back(kinds: tuple[str, str], kind: str) -> None:
    days = Days()
    for one in kinds:
        days.pass_(finding(kind=one))
    assert [r.finding.kind for r in days.running] == [kind]
    assert len(days.told) == 1


def test_a_note_on_the_data_stays_where_it_is() -> None:
    """A district that is missing and, the day after, a city whose files are doubled are two faults."""
    days = Days()
    days.pass_(finding("d1", ALL, kind=DATA))
    (told,) = days.pass_(finding(ALL, ALL, kind=DATA, level="yellow"))
    assert len(days.running) == 2
    assert told.alert_id != days.running[0].alert_id
    assert days.pass_(finding("d1", ALL, kind=DATA)) == []
    assert len(days.running) == 2


@pytest.mark.parametrize("gap", range(-9, 10))
def test_the_city_s_event_and_a_district_s_beside_it_are_told_once_each_however_days_find_them(gap: int) -> None:
    """Some days find the city's as a whole, the others in its districts; the district's began `gap` days after the city's (before it: negative)."""
    of_city, of_district = FIRST + timedelta(days=max(-gap, 0)), FIRST + timedelta(days=max(gap, 0))
    for period, phase, hides in ((p, q, h) for p in (2, 3, 4) for q in range(p) for h in (False, True)):
        days = Days()
        for n in range(30):
            as_whole = n % period == phase
            found = [finding(ALL if as_whole else "d2", onset=of_city)] if days.day >= of_city else []
            if days.day >= of_district and not (hides and as_whole and found):
                found.append(finding("d1", onset=of_district))
            days.pass_(*found)
        assert len({one.alert_id for one in days.told}) <= 2, (period, phase, hides)
        both_there = max(of_city, of_district) + timedelta(days=period)
        assert [one.finding.day for one in days.told if one.finding.day > both_there] == [], (period, phase, hides)


def test_a_city_s_event_that_begins_after_the_peak_of_a_district_s_is_told_as_new_and_takes_it_in() -> None:
    """A branch falls in one district; three days later comes the storm."""
    days = Days()
    (branch,) = days.pass_(finding("d1", onset=FIRST))
    days.pass_(finding("d1", onset=FIRST))
    storm = FIRST + timedelta(days=2)
    (told,) = days.pass_(finding(ALL, onset=storm, level="orange"))
    assert (told.alert_id != branch.alert_id, told.finding.area, told.finding.onset) == (True, ALL, storm)
    assert [one.alert_id for one in days.running] == [told.alert_id]
    for found in ([finding("d1", onset=FIRST)], [finding("d2", onset=storm), finding("d1", onset=storm)], [finding(ALL, onset=storm)]):
        assert days.pass_(*found) == []
        assert [one.alert_id for one in days.running] == [told.alert_id]


def test_what_spreads_from_a_district_before_its_peak_goes_on_as_the_city_s() -> None:
    days = Days()
    rising = replace(finding("d1", onset=FIRST), peak=FIRST + timedelta(days=1))
    (first,) = days.pass_(rising)
    days.pass_(rising)
    assert days.pass_(finding(ALL, onset=FIRST + timedelta(days=1))) == []
    assert [(one.alert_id, one.finding.area, one.finding.onset) for one in days.running] == [(first.alert_id, ALL, FIRST)]


def test_the_peak_is_looked_for_from_the_earliest_onset_on() -> None:
    """The newest finding may have a later onset than its event, and so miss the peak."""
    asked: list[date] = []

    def peak(of: Finding) -> date:
        asked.append(of.onset)
        return FIRST

    later = replace(finding(day=FIRST + timedelta(days=1), onset=FIRST + timedelta(days=1)), peak=FIRST + timedelta(days=1))
    running_on, *_ = running.carry([], [finding()], FIRST, AREAS, KINDS, None, inf, peak)
    (one,), *_ = running.carry(running_on, [later], later.day, AREAS, KINDS, None, inf, peak)
    assert (one.finding.onset, one.finding.peak, asked) == (FIRST, FIRST, [FIRST, FIRST])


def test_what_an_event_took_in_today_is_not_told_anew_today() -> None:
    (one,), *_ = running.carry([], [finding("d1")], FIRST, AREAS, KINDS, None, inf, OF_FINDING)
    whole = replace(finding(ALL, day=FIRST), peak=FIRST)
    (two,), *_ = running.carry([], [finding("d2")], FIRST, AREAS, KINDS, None, inf, OF_FINDING)
    (city,), _, parts = running.carry([one, two], [whole], FIRST, AREAS, KINDS, None, inf, OF_FINDING)
    assert (city.alert_id, parts) == (one.alert_id, [two])
    again = finding("d2", onset=FIRST)
    kept, told, _ = running.carry([], [again], FIRST, AREAS, KINDS, None, inf, OF_FINDING, parts)
    assert (kept, told) == ([], [])
    kept, told, _ = running.carry([], [finding("d3")], FIRST, AREAS, KINDS, None, inf, OF_FINDING, parts)
    assert len(told) == 1, "another is"
