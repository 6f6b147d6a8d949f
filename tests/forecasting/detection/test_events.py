"""One event over several days: what belongs to what runs, and what begins anew."""

from dataclasses import replace
from datetime import date, timedelta

from forecasting.detection import events
from forecasting.detection.events import Assigned, Event, Node
from forecasting.detection.finding import EMERGING, SPIKE, Finding, Part
from forecasting.hierarchy import ALL, Tree

DAY = date(2025, 7, 1)
AREAS = Tree({"s1": "d1", "s2": "d1", "s3": "d1", "d1": ALL, "d2": ALL})
KINDS = Tree({"HEAT": "HOME", "WATER": "HOME", "HOME": ALL, "NOISE": ALL})


def finding(area: str, category: str = "HEAT", observed: float = 40.0, level: str = "yellow", kind: str = SPIKE) -> Finding:
    part = (Part(area, observed, 10.0),)
    return Finding(
        kind,
        level,
        area,
        category,
        part,
        DAY,
        DAY,
        DAY,
        observed,
        10.0,
        5.0,
        16.0,
        observed,
        10.0,
        1e-6,
        f"{area}{category}。",
        f"{area} {category}.",
    )


def assigned(findings: list[Finding], running: list[Node]) -> list[Assigned]:
    there = [Event(node, DAY, DAY, DAY) for node in running]
    got = events.assign(findings, there, AREAS, KINDS)
    assert got == events.assign(findings[::-1], there, AREAS, KINDS), "in any order"
    return got


def places(findings: list[Finding], running: list[Node]) -> list[tuple[Node, tuple[int, ...]]]:
    return [((one.finding.area, one.finding.category), one.running) for one in assigned(findings, running)]


def test_without_a_running_event_every_finding_begins_one() -> None:
    assert places([finding("d1"), finding("d2")], []) == [(("d1", "HEAT"), ()), (("d2", "HEAT"), ())]


def test_an_event_goes_on_where_it_was_above_or_below() -> None:
    assert places([finding("d1")], [("d2", "HEAT"), ("d1", "HEAT")]) == [(("d1", "HEAT"), (1,))]
    assert places([finding(ALL)], [("d1", "HEAT")]) == [((ALL, "HEAT"), (0,))]
    assert places([finding("s1")], [(ALL, "HEAT")]) == [((ALL, "HEAT"), (0,))]
    assert places([finding("d1", "HOME")], [("d1", "HEAT")]) == [(("d1", "HOME"), (0,))]
    assert places([finding("d1", "WATER")], [("d1", "HOME")]) == [(("d1", "HOME"), (0,))]


def test_what_is_beside_an_event_begins_another() -> None:
    for area, category in (("d2", "HEAT"), ("d1", "WATER"), ("s1", "HOME"), (ALL, ALL), ("d2", ALL)):
        assert places([finding(area, category)], [("d1", "HEAT")])[0][1] == ()
    assert places([finding(ALL, "HOME")], [(ALL, "HEAT")])[0][1] == (), "the city's events are told by category"


def test_parts_that_turn_out_to_be_one_event_join_the_oldest() -> None:
    assert places([finding(ALL)], [("d2", "HEAT"), ("d1", "NOISE"), ("s1", "HEAT")]) == [((ALL, "HEAT"), (0, 2))]
    assert places([finding("d1", "HOME")], [("d1", "WATER"), ("d1", "HEAT")]) == [(("d1", "HOME"), (0, 1))]


def test_a_city_s_event_and_one_of_its_districts_on_the_same_day_are_one() -> None:
    assert places([finding("d1"), finding(ALL)], [("d1", "HEAT")]) == [((ALL, "HEAT"), (0,))]
    assert places([finding("d1"), finding(ALL)], []) == [((ALL, "HEAT"), ())]


def test_parts_inside_a_running_event_are_told_together_the_greatest_first() -> None:
    parts = [finding("s1", observed=30.0, level="orange"), replace(finding("d2", observed=50.0, kind=EMERGING), onset=DAY - timedelta(days=4))]
    (one,) = assigned(parts, [(ALL, "HEAT")])
    f = one.finding
    assert (f.area, f.kind, f.level, f.onset) == (ALL, SPIKE, "orange", DAY - timedelta(days=4))
    assert (f.observed, f.expected, f.lower, f.upper, f.since_observed, f.since_expected) == (80, 20, 10, 32, 80, 20)
    assert [p.district for p in f.districts] == ["d2", "s1"]
    assert f.reason_en == "d2 HEAT. s1 HEAT."


def test_a_part_that_begins_with_a_milder_event_around_it_gives_it_its_level() -> None:
    (one,) = assigned([finding(ALL, level="blue"), finding("d1", level="orange")], [])
    assert (one.finding.area, one.finding.level) == (ALL, "orange")


def test_what_begins_days_after_a_broader_event_in_a_part_of_it_is_another() -> None:
    """A pipe bursts in the third week of the city's cold; what came to a district within days of the cold is the cold."""
    cold = Event((ALL, "HEAT"), DAY - timedelta(days=16), DAY - timedelta(days=16), DAY - timedelta(days=1))

    def of(finding: Finding, event: Event) -> tuple[int, ...]:
        (one,) = events.assign([finding], [event], AREAS, KINDS)
        return one.running

    for days_after, is_part in ((0, True), (2, True), (3, True), (4, False), (12, False)):
        part = replace(finding("d1"), onset=cold.begun + timedelta(days=days_after))
        assert of(part, cold) == ((0,) if is_part else ()), days_after
    late = replace(finding(ALL), onset=cold.begun + timedelta(days=12))
    assert of(late, cold) == (0,), "at its own place the event goes on"
    assert of(late, replace(cold, node=("d1", "HEAT"))) == (0,), "and where it has become broader"


def test_an_event_of_its_own_in_a_part_of_a_broader_one_goes_on_beside_it_and_is_not_begun_again_at_every_look() -> None:
    """The burst pipe goes on, and so does the city's cold: neither takes the other's place."""
    cold, pipe = (Event(node, begun := DAY - timedelta(days=days), begun, DAY) for node, days in (((ALL, "HEAT"), 16), (("d1", "HEAT"), 4)))
    findings = [replace(finding(node[0]), onset=begun) for node, begun in ((cold.node, cold.begun), (pipe.node, pipe.begun))]
    elsewhere = replace(finding("d2"), onset=cold.begun)
    for seen in (findings, [elsewhere, findings[1]], findings[::-1]):
        for running in ([cold, pipe], [pipe, cold]):
            got = events.assign(seen, running, AREAS, KINDS)
            assert {(one.finding.area, *(running[k].node[0] for k in one.running)) for one in got} == {(ALL, ALL), ("d1", "d1")}


def test_an_event_has_one_finding_a_day() -> None:
    running = [("d1", "HOME")]
    got = assigned([finding("d1", "HEAT"), finding(ALL, "HEAT"), finding("d1", "HOME")], running)
    assert sum(0 in one.running for one in got) == 1


def test_an_event_that_is_found_in_its_parts_is_not_hidden_in_a_broader_one() -> None:
    """Both are found in parts: the city's in one district, the district's, told apart since it began, in one of its categories."""
    begun, later = DAY - timedelta(days=4), DAY
    running = [Event((ALL, "HOME"), begun, begun, DAY, begun), Event(("d1", "HOME"), later, later, DAY, later)]
    found = [replace(finding("d2", "HOME"), onset=begun + timedelta(days=3)), finding("d1", "WATER")]
    got = events.assign(found, running, AREAS, KINDS)
    assert [(one.finding.area, one.finding.category, one.running, one.taken) for one in got] == [
        (ALL, "HOME", (0,), ()),
        ("d1", "HOME", (1,), ()),
    ]
