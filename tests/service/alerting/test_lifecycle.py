"""Alerts live: raised once, followed, escalated, moved, resolved; a day applied twice changes nothing."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from forecasting.detection import events
from forecasting.detection.finding import DATA, EMERGING, EXCESS, FIRST_SEEN, GROWS, SEASONAL, SPIKE, Finding, Part
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL, Tree
from service.alerting import lifecycle
from service.alerting.lifecycle import Applied
from service.store import alerts, day_scores, forecast_sets, runs
from service.store.alerts import Alert, AlertEvent
from service.store.engine import reading, writing

DAY = date(2025, 7, 1)
DISTRICTS = ("North", "South", "West")
AREAS = Tree.flat(DISTRICTS)
CATEGORIES = ("Heat", "Noise")
NODES = (*CATEGORIES, "Power", "Water", "Home")
KINDS = Tree({"Heat": "Home", "Power": "Home", "Water": "Home", "Home": ALL, "Noise": ALL})


class Days:
    """A store whose alerts are carried from day to day, as the watch does it: the day's scores first, then its findings."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        with writing(engine) as conn:
            now = self.morning_after(DAY)
            run = runs.start(conn, DAY, "test", now, timedelta(hours=1))
            row = {"run_id": run, "mlflow_run_id": None, "cutoff": DAY, "horizon": 1, "issued_at": now, "rows": 0, "blob": b""}
            self.set_id = forecast_sets.publish(conn, **row)

    @staticmethod
    def morning_after(day: date) -> datetime:
        return datetime(day.year, day.month, day.day, 18, tzinfo=UTC) + timedelta(hours=1)  # 03:00 in Shanghai

    def apply(self, day: date, *findings: Finding, kinds: Sequence[str] = EXCESS, silent: Sequence[str] = ()) -> Applied:
        with writing(self.engine) as conn:
            nodes = [(a, c) for a in (ALL, *DISTRICTS) for c in (*NODES, ALL) if a not in silent]
            came = {(f.area, f.category): int(f.observed) for f in findings if f.kind in EXCESS}
            scores = pd.DataFrame(nodes, columns=["area", "category"])
            scores = scores.assign(observed=[came.get(node, 10) for node in nodes], expected=10.0, p_value=0.5, pit=0.5)
            day_scores.put(conn, day, self.set_id, scores)
            return lifecycle.apply(conn, kinds, findings, day, self.morning_after(day), self.set_id, AREAS, KINDS)

    def all(self) -> list[Alert]:
        with reading(self.engine) as conn:
            return alerts.list_alerts(conn, limit=None)

    def only(self) -> Alert:
        (alert,) = self.all()
        return alert

    def running(self) -> list[Alert]:
        with reading(self.engine) as conn:
            return alerts.running(conn)

    def history(self, alert: Alert) -> list[AlertEvent]:
        with reading(self.engine) as conn:
            return alerts.history(conn, alert.id)

    def actions(self, alert: Alert) -> list[str]:
        return [event.action for event in self.history(alert)]

    def decide(self, alert: Alert, status: str, day: date) -> None:
        """What a duty officer does on the day after."""
        with writing(self.engine) as conn:
            now = self.morning_after(day) + timedelta(hours=5)
            assert alerts.change_status(conn, alert.id, {"open", "acknowledged"}, status, "duty officer", None, now)

    def image(self) -> object:
        """Everything that is stored of alerts."""
        return [(alert, self.history(alert)) for alert in self.all()]


@pytest.fixture
def days(engine: Engine) -> Days:
    return Days(engine)


def after(n: int) -> date:
    return DAY + timedelta(days=n)


def spike(day: date, area: str = "North", category: str = "Heat", level: str = "yellow", observed: float = 40.0, **changes: object) -> Finding:
    """Since DAY, unless something else is said."""
    districts = tuple(Part(d, observed / 3, 10.0) for d in DISTRICTS) if area == ALL else (Part(area, observed, 10.0),)
    finding = Finding(
        SPIKE,
        level,
        area,
        category,
        districts,
        day,
        min(day, DAY),
        day,
        observed,
        10.0,
        5.0,
        16.0,
        observed,
        10.0,
        1e-6,
        f"{area}{category}",
        "a sentence",
    )
    return replace(finding, **changes)


def build_up(day: date, area: str = "North", category: str = "Heat", days: int = 5, **changes: object) -> Finding:
    return replace(spike(day, area, category), kind=EMERGING, onset=day - timedelta(days=days - 1), **changes)


def rise(day: date, area: str = "North", onset: date | None = None) -> Finding:
    first = onset or day + timedelta(days=3)
    return replace(spike(day, area), kind=SEASONAL, onset=first, peak=first + timedelta(days=7), observed=10.0, expected=25.0)


def first_seen(day: date, area: str = "North", category: str = "Drones", observed: float = 6.0, **changes: object) -> Finding:
    return replace(spike(day, area, category, "blue", observed), kind=FIRST_SEEN, expected=0.1, lower=0.0, upper=1.0, **changes)


def note(day: date, area: str = "North", category: str = ALL, reason: str = "nothing came", **changes: object) -> Finding:
    return replace(spike(day, area, category, "blue", 0.0), kind=DATA, reason_zh=reason, reason_en=reason, **changes)


def test_an_event_of_many_days_is_one_alert(days: Days) -> None:
    assert days.apply(DAY, spike(DAY)) == Applied(raised=1)
    for n in range(1, 20):
        assert days.apply(after(n), spike(after(n), observed=30.0 + n)) == Applied(followed=1)
    alert = days.only()
    assert (alert.status, alert.onset, alert.last_day, alert.observed) == ("open", DAY, after(19), 49.0)
    assert alert.raised_at == days.morning_after(DAY)
    assert days.actions(alert) == ["raised"]


def test_an_alert_keeps_its_highest_level_and_says_when_it_rose(days: Days) -> None:
    for n, level in enumerate(("blue", "orange", "yellow", "orange", "red", "blue")):
        days.apply(after(n), spike(after(n), level=level))
    alert = days.only()
    assert alert.level == "red"
    assert [(e.action, e.level) for e in days.history(alert)] == [("raised", "blue"), ("escalated", "orange"), ("escalated", "red")]
    assert alert.changed_at == days.morning_after(after(4))


def test_two_districts_become_one_alert_of_the_city(days: Days) -> None:
    days.apply(DAY, spike(DAY, "North"))
    days.apply(after(1), spike(after(1), "North"), spike(after(1), "South"))
    assert len(days.running()) == 2
    assert days.apply(after(2), spike(after(2), ALL, observed=90.0)) == Applied(followed=1, resolved=1)
    (city,) = days.running()
    assert (city.area, city.onset, [d["code"] for d in city.districts]) == (ALL, DAY, list(DISTRICTS))
    assert days.actions(city) == ["raised", "moved"]
    assert days.history(city)[-1].note == "now at the whole city"
    (south,) = [a for a in days.all() if a.status == "resolved"]
    assert (south.area, days.history(south)[-1].note) == ("South", f"part of {city.id}")


def test_a_storm_over_the_city_is_raised_anew_and_takes_in_the_branch_that_fell_in_a_district_days_before(days: Days) -> None:
    days.apply(DAY, spike(DAY, "North", observed=40.0))
    days.apply(after(1), spike(after(1), "North", observed=20.0, onset=DAY))
    (branch,) = days.running()
    assert branch.peak == DAY
    over_the_city = spike(after(2), ALL, observed=90.0, onset=after(2))
    assert days.apply(after(2), over_the_city) == Applied(raised=1, resolved=1)
    (storm,) = days.running()
    assert (storm.area, storm.onset) == (ALL, after(2))
    assert [(one.id, days.history(one)[-1].note) for one in days.all() if one.status == "resolved"] == [(branch.id, f"part of {storm.id}")]
    before = days.image()
    days.apply(after(2), over_the_city)
    assert days.image() == before


def test_the_peak_may_be_the_day_that_is_running_which_has_no_score_yet(days: Days) -> None:
    everywhere = (ALL, *DISTRICTS)
    days.apply(DAY, spike(DAY, "North", observed=22.0))
    for observed, peak in ((15.0, DAY), (70.0, after(1))):
        days.apply(after(1), spike(after(1), "North", observed=observed), silent=everywhere)
        assert days.only().peak == peak
    over_the_city = spike(after(1), ALL, observed=90.0, onset=after(1))
    assert days.apply(after(1), over_the_city, silent=everywhere) == Applied(followed=1), "a district's that still grows becomes the city's"


@pytest.mark.parametrize("gap", [-5, -2, 2, 3, 5])
def test_a_city_s_event_and_a_district_s_are_raised_once_each_however_days_find_them(days: Days, gap: int) -> None:
    of_city, of_district = after(max(-gap, 0)), after(max(gap, 0))
    for n in range(16):
        day = after(n)
        found = [spike(day, ALL if n % 3 == 0 else "South", onset=of_city)] if day >= of_city else []
        found += [spike(day, "North", onset=of_district)] if day >= of_district else []
        days.apply(day, *found)
    assert len(days.all()) <= 2 + (gap < 0), "a district's that came with the city's is told by itself until the city's is found"
    assert max(one.raised_at for one in days.all()) <= days.morning_after(max(of_city, of_district) + timedelta(days=3))


def test_what_is_left_of_a_city_wide_event_in_one_district_belongs_to_it(days: Days) -> None:
    days.apply(DAY, spike(DAY, ALL, observed=90.0))
    days.apply(after(1), spike(after(1), "South", observed=30.0), spike(after(1), "North", observed=35.0))
    alert = days.only()
    assert (alert.area, alert.last_day, alert.observed) == (ALL, after(1), 65.0)
    assert days.actions(alert) == ["raised"]


def test_of_several_findings_that_belong_to_one_alert_the_gravest_decides_the_level(days: Days) -> None:
    days.apply(DAY, spike(DAY, ALL))
    days.apply(after(1), spike(after(1), "North", level="yellow", observed=80.0), spike(after(1), "West", level="orange"))
    assert (days.only().level, [d["code"] for d in days.only().districts]) == ("orange", ["North", "West"])


def test_a_build_up_that_bursts_is_one_alert_and_a_burst_that_goes_on_stays_a_burst(days: Days) -> None:
    days.apply(DAY, build_up(DAY, days=4))
    assert (days.only().kind, days.only().onset) == (EMERGING, after(-3))
    assert days.apply(after(1), spike(after(1), level="orange")) == Applied(followed=1)
    assert (days.only().kind, days.only().onset, days.only().level) == (SPIKE, after(-3), "orange")
    assert days.apply(after(2), build_up(after(2), days=2)) == Applied(followed=1)
    assert (days.only().kind, days.only().onset, days.only().level) == (SPIKE, after(-3), "orange")
    assert days.actions(days.only()) == ["raised", "escalated"]


def test_a_district_s_burst_that_spreads_over_its_categories_is_one_alert(days: Days) -> None:
    days.apply(DAY, spike(DAY, "North", "Heat"), spike(DAY, "South", "Heat"))
    days.apply(after(1), spike(after(1), "North", "Home", observed=90.0), spike(after(1), "South", "Heat"))
    assert sorted((a.area, a.category) for a in days.running()) == [("North", "Home"), ("South", "Heat")]
    (north,) = [a for a in days.running() if a.area == "North"]
    assert days.history(north)[-1].note == "now at North, Home"
    days.apply(after(2), spike(after(2), "North", "Heat", observed=30.0), build_up(after(2), "North", "Power", observed=25.0))
    (north,) = [a for a in days.running() if a.area == "North"]
    assert (north.category, north.last_day, north.observed) == ("Home", after(2), 55.0)


def test_what_goes_on_in_the_whole_city_is_told_by_category(days: Days) -> None:
    days.apply(DAY, spike(DAY, ALL, "Home"))
    assert days.apply(after(1), spike(after(1), ALL, "Heat"), spike(after(1), ALL, "Power")).raised == 2


def test_an_alert_is_over_after_three_usual_days(days: Days) -> None:
    days.apply(DAY, spike(DAY))
    assert [days.apply(after(n)).resolved for n in (1, 2, 3, 4)] == [0, 0, 1, 0]
    alert = days.only()
    assert (alert.status, alert.usual_days, alert.resolved_at) == ("resolved", 3, days.morning_after(after(3)))
    assert [(e.action, e.note) for e in days.history(alert)] == [("raised", None), ("resolved", "usual again for 3 days")]


def test_two_usual_days_do_not_end_an_alert(days: Days) -> None:
    days.apply(DAY, spike(DAY))
    days.apply(after(1))
    days.apply(after(2))
    days.apply(after(3), spike(after(3)))
    days.apply(after(4))
    days.apply(after(5))
    assert (days.only().status, days.only().usual_days) == ("open", 2)


def test_days_without_data_are_no_usual_days(days: Days) -> None:
    days.apply(DAY, spike(DAY))
    for n in range(1, 8):
        days.apply(after(n), silent=("North", ALL))
    assert days.only().status == "open"
    assert [days.apply(after(n)).resolved for n in (8, 9, 10)] == [0, 0, 1]


def test_an_alert_whose_node_is_gone_does_not_run_for_ever(days: Days) -> None:
    days.apply(DAY, spike(DAY))
    for n in range(1, 15):
        days.apply(after(n), silent=("North",))
    assert days.only().status == "resolved"
    assert days.history(days.only())[-1].note == f"no data since {DAY}"


def test_a_new_event_after_the_old_one_is_a_new_alert(days: Days) -> None:
    days.apply(DAY, spike(DAY))
    for n in range(1, 5):
        days.apply(after(n))
    assert days.apply(after(5), spike(after(5))) == Applied(raised=1)
    assert [a.status for a in days.all()] == ["open", "resolved"]


def test_the_peak_is_the_day_on_which_most_came(days: Days) -> None:
    for n, observed in enumerate((40, 90, 30, 60)):
        for _ in range(2):
            days.apply(after(n), spike(after(n), observed=float(observed)))
    assert days.only().peak == after(1)


def test_it_says_what_came_since_its_onset_and_what_was_expected(days: Days) -> None:
    for n, observed in enumerate((40, 90, 30)):
        for _ in range(2):
            days.apply(after(n), spike(after(n), observed=float(observed)))
    since = replace(spike(after(3), observed=17.0), onset=after(2), since_observed=47.0, since_expected=22.0)
    everywhere = (ALL, *DISTRICTS)
    days.apply(after(3), since, silent=everywhere)
    assert (days.only().since_observed, days.only().since_expected) == (40 + 90 + 47, 10 + 10 + 22), "as found, and by scores before"
    days.apply(after(3), replace(since, onset=DAY, since_observed=170.0, since_expected=44.0), silent=everywhere)
    assert (days.only().since_observed, days.only().since_expected) == (170, 44), "what is known to be at fault is not in it"


@pytest.mark.parametrize("day", [0, 2], ids=["the day it was raised", "a later day"])
def test_what_somebody_has_resolved_stays_so_for_the_day(days: Days, day: int) -> None:
    for n in range(day + 1):
        days.apply(after(n), spike(after(n)))
    days.decide(days.only(), "resolved", after(day))
    assert days.apply(after(day), spike(after(day), level="red")) == Applied()
    assert days.only().status == "resolved"
    assert days.apply(after(day + 1), spike(after(day + 1))) == Applied(raised=1)


def test_what_somebody_has_resolved_stays_so_although_it_is_placed_elsewhere_that_day(days: Days) -> None:
    days.apply(DAY, spike(DAY, ALL))
    days.decide(days.only(), "resolved", DAY)
    assert days.apply(DAY, spike(DAY, "South")) == Applied()
    assert days.apply(DAY, spike(DAY, "South", "Noise")) == Applied(raised=1)


def test_what_somebody_has_resolved_hides_nothing_that_began_after_it(days: Days) -> None:
    """Who has resolved Thursday's fallen trees is told of Sunday's storm on Sunday."""
    for n, observed in enumerate((60.0, 30.0, 30.0, 30.0)):
        days.apply(after(n), spike(after(n), observed=observed))
    days.decide(days.only(), "resolved", after(3))
    found = spike(after(3), observed=30.0), spike(after(3), ALL, observed=200.0, onset=after(3))
    assert days.apply(after(3), *found) == Applied(raised=1)
    assert [(one.area, one.onset) for one in days.running()] == [(ALL, after(3))]


def test_what_was_resolved_in_the_small_hours_stays_so_for_the_day(days: Days) -> None:
    """Where the city's day begins before UTC's."""
    days.apply(DAY, spike(DAY))
    with writing(days.engine) as conn:
        small_hours = datetime(DAY.year, DAY.month, DAY.day, 6, tzinfo=UTC) - timedelta(hours=8)
        assert alerts.change_status(conn, days.only().id, {"open"}, "resolved", "duty officer", None, small_hours)
    assert days.apply(DAY, spike(DAY)) == Applied()


def test_yesterday_looked_at_again_ends_nothing_that_began_today(days: Days) -> None:
    """Each watch looks at the last finished day again, and then at the hours of today."""
    days.apply(DAY, spike(DAY, "North", "Home"))
    days.apply(after(1), spike(after(1), "North", "Home"), spike(after(1), "North", "Heat", onset=after(1)))
    before = days.image()
    days.apply(DAY, spike(DAY, "North", "Home"))
    assert [one.status for one in days.all()] == ["open", "open"]
    assert days.image() == before


def test_an_acknowledged_alert_stays_acknowledged_and_is_resolved_when_it_is_over(days: Days) -> None:
    days.apply(DAY, spike(DAY))
    days.decide(days.only(), "acknowledged", DAY)
    days.apply(after(1), spike(after(1), ALL, level="red"))
    assert (days.only().status, days.only().level, days.only().area) == ("acknowledged", "red", ALL)
    for n in (2, 3, 4):
        days.apply(after(n))
    assert [(e.action, e.status, e.actor) for e in days.history(days.only())] == [
        ("raised", "open", "weisu"),
        ("acknowledged", "acknowledged", "duty officer"),
        ("escalated", "acknowledged", "weisu"),
        ("resolved", "resolved", "weisu"),
    ]


def test_kinds_categories_and_districts_do_not_touch_one_another(days: Days) -> None:
    days.apply(DAY, spike(DAY, "North"), spike(DAY, "South"), spike(DAY, "North", "Noise"))
    days.apply(DAY, rise(DAY, "North"), kinds=(SEASONAL,))
    assert len(days.running()) == 4
    for n in (1, 2, 3):
        days.apply(after(n), kinds=EXCESS)
    assert [(a.kind, a.status) for a in days.running()] == [(SEASONAL, "open")]


def test_a_coming_rise_keeps_its_earliest_onset_and_takes_the_newest_peak(days: Days) -> None:
    days.apply(DAY, rise(DAY, onset=after(10)), kinds=(SEASONAL,))
    days.apply(after(1), rise(after(1), onset=after(8)), kinds=(SEASONAL,))
    days.apply(after(2), rise(after(2), onset=after(12)), kinds=(SEASONAL,))
    assert (days.only().onset, days.only().peak) == (after(8), after(19))


def test_an_older_day_does_not_turn_an_alert_back(days: Days) -> None:
    days.apply(after(1), spike(after(1), observed=50.0))
    days.apply(DAY, spike(DAY, observed=20.0))
    assert (days.only().last_day, days.only().observed) == (after(1), 50.0)


@pytest.mark.parametrize("order", [(EXCESS, (FIRST_SEEN,)), ((FIRST_SEEN,), EXCESS)], ids=["burst first", "new first"])
def test_what_is_new_and_grows_is_one_alert(days: Days, order: Sequence[Sequence[str]]) -> None:
    days.apply(DAY, first_seen(DAY), kinds=(FIRST_SEEN,))
    for day in (after(1), after(2)):
        found = {EXCESS: [spike(day, "North", "Drones", "orange")], (FIRST_SEEN,): [first_seen(day, observed=40.0)]}
        for kinds in order:
            days.apply(day, *found[tuple(kinds)], kinds=kinds)
    alert = days.only()
    assert (alert.kind, alert.level, alert.onset, alert.last_day, alert.expected) == (SPIKE, "orange", DAY, after(2), 10.0)
    assert [(e.action, e.note) for e in days.history(alert)] == [("raised", None), ("escalated", "SPIKE, was FIRST_SEEN")]


def test_a_kind_that_changes_alone_is_told_too(days: Days) -> None:
    days.apply(DAY, build_up(DAY))
    days.apply(after(1), spike(after(1)))
    assert [(e.action, e.note) for e in days.history(days.only())] == [("raised", None), ("turned", "SPIKE, was EMERGING")]


def test_a_burst_that_is_only_new_again_goes_on_and_stays_a_burst(days: Days) -> None:
    days.apply(DAY, spike(DAY, "North", "Drones"))
    for n in range(1, 6):
        days.apply(after(n))
        assert days.apply(after(n), first_seen(after(n)), kinds=(FIRST_SEEN,)).raised == 0
    assert (days.only().kind, days.only().status, days.only().last_day, days.only().observed) == (SPIKE, "open", after(5), 6.0)


def test_what_is_new_below_a_burst_of_another_category_is_told_by_itself(days: Days) -> None:
    days.apply(DAY, spike(DAY, "North", "Home"))
    assert days.apply(DAY, first_seen(DAY, "North", "Heat"), kinds=(FIRST_SEEN,)) == Applied(raised=1)
    assert days.apply(after(1), spike(after(1), "North", "Home")) == Applied(followed=1)
    assert {(a.kind, a.category) for a in days.running()} == {(SPIKE, "Home"), (FIRST_SEEN, "Heat")}


@pytest.mark.parametrize(("first", "second"), [(EXCESS, (FIRST_SEEN,)), ((FIRST_SEEN,), EXCESS)])
def test_what_somebody_has_resolved_is_not_raised_as_another_kind_that_day(days: Days, first: Sequence[str], second: Sequence[str]) -> None:
    found = {EXCESS: spike(DAY, "North", "Drones"), (FIRST_SEEN,): first_seen(DAY)}
    days.apply(DAY, found[tuple(first)], kinds=first)
    days.decide(days.only(), "resolved", DAY)
    assert days.apply(DAY, found[tuple(second)], kinds=second) == Applied()


@pytest.mark.parametrize("alert", [first_seen(DAY), note(DAY, category="Drones")], ids=["new", "data"])
def test_what_is_too_new_to_be_forecast_is_over_after_three_days_with_data_too(days: Days, alert: Finding) -> None:
    days.apply(DAY, alert, kinds=(alert.kind,))
    assert [days.apply(after(n), kinds=(alert.kind,), silent=("North", ALL) if n == 2 else ()).resolved for n in (1, 2, 3, 4)] == [0, 0, 0, 1]
    assert days.history(days.only())[-1].note == "usual again for 3 days"


def test_notes_on_the_data_and_alerts_on_demand_do_not_touch_one_another(days: Days) -> None:
    days.apply(DAY, note(DAY, "North", "Heat"), note(DAY, ALL, "Heat"), note(DAY, "North"), kinds=(DATA,))
    days.apply(DAY, spike(DAY, "North", "Heat"))
    days.apply(DAY, first_seen(DAY, "North", "Heat", reason_en="new"), kinds=(FIRST_SEEN,))
    assert len(days.running()) == 4, "no note is part of another: each is a fault of its own place"
    assert days.apply(after(1), note(after(1), "North"), kinds=(DATA,)) == Applied(followed=1)
    for n in (1, 2, 3):
        days.apply(after(n), kinds=(DATA,))
    assert {(a.kind, a.area, a.category) for a in days.running()} == {(SPIKE, "North", "Heat"), (DATA, "North", ALL)}


def test_two_faults_of_one_place_are_one_note_that_tells_of_both(days: Days) -> None:
    late, twice = note(DAY, reason="came late"), note(DAY, reason="came twice", level="yellow")
    days.apply(DAY, late, twice, kinds=(DATA,))
    before = days.image()
    days.apply(DAY, twice, late, kinds=(DATA,))
    assert days.image() == before
    assert (days.only().reason_en, days.only().level) == ("came twice came late", "yellow")


def test_what_people_said_of_an_alert_stays_while_it_runs_and_when_it_is_over(days: Days) -> None:
    days.apply(DAY, spike(DAY))
    with writing(days.engine) as conn:
        assert alerts.judge(conn, days.only().id, None, "acted", "duty officer", "crew sent", days.morning_after(DAY))
    days.apply(after(1), spike(after(1), level="red"))
    for n in (2, 3, 4):
        days.apply(after(n))
    assert (days.only().verdict, days.only().status) == ("acted", "resolved")
    assert days.actions(days.only()) == ["raised", "judged_acted", "escalated", "resolved"]


small = st.lists(
    st.tuples(st.sampled_from((ALL, "North", "South")), st.sampled_from(CATEGORIES), st.sampled_from(GROWS)),
    max_size=4,
    unique_by=lambda event: (event[0], event[1], event[2] == FIRST_SEEN),
)


@settings(max_examples=20, deadline=None)
@given(sequence=st.lists(st.tuples(small, st.booleans(), st.booleans()), min_size=1, max_size=4))
@example(  # what is new in the whole city tells of what was new in one district, and of what has grown in another today
    sequence=[
        ([("South", "Heat", FIRST_SEEN)], False, False),
        ([(ALL, "Heat", FIRST_SEEN), ("North", "Heat", EMERGING)], False, False),
    ]
)
def test_whatever_is_new_and_grows_there_is_one_alert_of_it(scratch_engine: Callable[..., Engine], sequence: list[tuple[list, bool, bool]]) -> None:
    days = Days(scratch_engine())
    kind_before: dict[str, str] = {}
    for n, (found, new_first, decide) in enumerate(sequence):
        day = after(n)
        findings = [replace(spike(day, area, category), kind=kind) for area, category, kind in found]
        passes = [(kinds, [f for f in findings if f.kind in kinds]) for kinds in (EXCESS, (FIRST_SEEN,))]
        for kinds, mine in reversed(passes) if new_first else passes:
            days.apply(day, *mine, kinds=kinds)
        once = days.image()
        for kinds, mine in passes:
            days.apply(day, *reversed(mine), kinds=kinds)
        assert days.image() == once, "the same day again, in another order"
        running = days.running()
        for one in running:
            others = [a for a in running if a.id != one.id and a.category == one.category]
            assert not any(one.area in AREAS.path(a.area) for a in others), "one running alert where there is one event"
            assert GROWS.index(one.kind) >= GROWS.index(kind_before.get(one.id, FIRST_SEEN))
        for finding in findings:
            assert any(a.category == finding.category and a.last_day == day for a in days.all()), "every finding has an alert"
        kind_before = {alert.id: alert.kind for alert in days.all()}
        if decide and running:
            days.decide(running[0], "resolved", day)


something = st.lists(
    st.tuples(st.sampled_from((ALL, *DISTRICTS)), st.sampled_from(CATEGORIES), st.sampled_from(LEVELS), st.integers(20, 99)),
    max_size=4,
    unique_by=lambda event: event[:2],
)


@settings(max_examples=25, deadline=None)
@given(sequence=st.lists(st.tuples(something, st.sampled_from((None, "acknowledged", "resolved")), st.booleans()), min_size=1, max_size=10))
def test_whatever_comes_alerts_keep_their_rules(scratch_engine: Callable[..., Engine], sequence: list[tuple[list, str | None, bool]]) -> None:
    days = Days(scratch_engine())
    before: dict[str, Alert] = {}
    for n, (found, decision, silent) in enumerate(sequence):
        day = after(n)
        findings = [spike(day, area, category, level, float(observed)) for area, category, level, observed in found]
        hidden = [d for d in DISTRICTS if silent and not any(f.area == d for f in findings)]
        days.apply(day, *findings, silent=hidden)
        once = days.image()
        assert days.apply(day, *reversed(findings), silent=hidden) == Applied(followed=len({a.id for a in days.running() if a.last_day == day}))
        assert days.image() == once, "the same day again, in another order"

        now = {alert.id: alert for alert in days.all()}
        running = days.running()
        for one in running:
            others = [a for a in running if a.id != one.id and a.category == one.category]
            assert not any(one.area in AREAS.path(a.area) for a in others), "one running alert where there is one event"
        for finding in findings:
            assert any(a.category == finding.category and a.last_day == day for a in now.values()), "every finding has an alert"
        for alert in now.values():
            history = days.history(alert)
            levels = [LEVELS.index(event.level) for event in history]
            assert history[0].action == "raised"
            assert levels == sorted(levels)
            assert levels[-1] == LEVELS.index(alert.level), "the history ends with what is"
            assert history[-1].status == alert.status
            assert (alert.resolved_at is not None) == (alert.status == "resolved")
            assert alert.onset <= alert.last_day
            if alert.status != "resolved":
                assert alert.usual_days < events.USUAL_DAYS
            if (old := before.get(alert.id)) and old.status == "resolved":
                assert old == alert, "what is over does not change"
        if decision and running:
            days.decide(running[0], decision, day)
        before = {alert.id: alert for alert in days.all()}
