"""Which findings belong to which running event: one event moves along one tree, over areas in its category, or over categories in its area.

For every day:
1. Findings inside a running event's node are put together: where a city's event goes on in some districts, it tells of all of them.
2. The broadest first, a finding belongs to the running event at, above or below it; the event is then where the finding is.
3. Further running events that turn out to be part of the same one join it.
4. What begins around a running event when that is past its peak is another, which takes it in: the storm over the city is not the branch that fell
   in one district days before.
5. A finding that belongs to none begins one. So does one that began after the event there was last seen: a burst is no part of what was over
   before it. And so does one in a part of a broader event that began days after it: what an event brings to its districts it brings within days,
   and the burst pipe in the third week of a city's cold is no part of the cold, neither on the day on which it begins nor on those that follow.
6. What was told apart stays apart while it is found by itself, and what an event has taken in stays in it: it is told once, whether a day finds
   the city's event as a whole or in its districts.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from forecasting.detection.finding import SPIKE, Finding
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import ALL, Tree

USUAL_DAYS = 3  # days in a row without the event after which it is over: closing late costs nothing, flapping costs trust
SPREADS = 3  # days within which an event comes to its parts
LONGEST = 14  # days after which an event is over although its node had no data, for it may be no node any more

Node = tuple[str, str]  # area, category


@dataclass(frozen=True)
class Event:
    """An event that runs.

    Attributes:
        begun: first day of it.
        spread: the latest onset of what it has taken in elsewhere; that of the event itself where there is none.
        seen: the last day on which it was found, which is before today's findings.
        peak: the day on which the most came since it began; None: it is not known.
    """

    node: Node
    begun: date
    spread: date
    seen: date
    peak: date | None = None


@dataclass(frozen=True)
class Assigned:
    """A finding and the running events that are one with it, by their positions.

    Attributes:
        running: those that it belongs to, the one that goes on first; none: it begins one.
        taken: those that it takes in as it begins one.
        joined: what else was found of it that day, narrower, and is told with it.
    """

    finding: Finding
    running: tuple[int, ...]
    taken: tuple[int, ...] = ()
    joined: tuple[Finding, ...] = ()


def assign(findings: Sequence[Finding], running: Sequence[Event], areas: Tree, categories: Tree) -> list[Assigned]:
    """A day's findings, in any order, to the events that run.

    Args:
        running: the oldest first. An event has at most one finding a day.
    """
    where: list[Event | None] = list(running)
    owner: dict[int, int] = {}  # position of an event -> position of its finding
    apart = _later_ones(findings, areas, categories)
    gathered = _gathered(findings, running, areas, categories)
    found_at = {(f.area, f.category) for f in (*findings, *gathered)}
    found: list[Assigned] = []
    for finding in sorted(gathered, key=lambda f: _broadest_first(f, areas, categories)):
        node = finding.area, finding.category
        same = _one_with(finding, where, apart, found_at, areas, categories)
        past = [k for k in same if k not in owner and _is_past(where[k], node, finding, areas, categories)]
        if len(past) == len(same):
            hidden = [k for k in range(len(running)) if k not in owner and _is_hidden(where[k], finding, found_at, areas, categories)]
            taken = sorted({*past, *hidden})
            owner[len(where)] = len(found)
            where.append(Event(node, finding.onset, finding.onset, finding.onset))
            found.append(Assigned(finding, (), tuple(taken)))
            for part in taken:
                where[part] = None
            continue
        keep, *parts = same = [*(k for k in same if k not in past), *past]
        if keep in owner:
            mine = found[owner[keep]]
            level = max(mine.finding.level, finding.level, key=LEVELS.index)
            one_with = (*mine.running, *(k for k in parts if k < len(running)))
            found[owner[keep]] = Assigned(replace(mine.finding, level=level), one_with, mine.taken, (*mine.joined, finding))
        else:
            owner[keep] = len(found)
            event = where[keep]
            assert event is not None
            where[keep] = replace(event, node=node)
            found.append(Assigned(finding, tuple(k for k in same if k < len(running))))
        for part in parts:
            if part < len(running):
                where[part] = None
    return found


def is_over(finding: Finding, ended: Iterable[Event], areas: Tree, categories: Tree) -> bool:
    """Whether what was found is of an event that has ended on its day: none at another node that began when that was past its peak."""
    node = finding.area, finding.category
    for event in ended:
        later = event.peak is not None and finding.onset > event.peak and node != event.node
        if not later and assign([finding], [event], areas, categories)[0].running:
            return True
    return False


def spread(assigned: Assigned, running: Sequence[Event]) -> date:
    """The latest onset of what an event has taken in, after a day on which it was found or began."""
    finding = assigned.finding
    own = bool(assigned.running) and running[assigned.running[0]].node == (finding.area, finding.category)
    return max([*([] if own else [finding.onset]), *(running[k].spread for k in (*assigned.running, *assigned.taken))])


def notes(findings: Sequence[Finding], running: Sequence[Node]) -> list[Assigned]:
    """A day's findings about the data to the notes that run: each node has its own, for a fault does not move, and one explains no other."""
    together: dict[Node, Finding] = {}
    for finding in sorted(findings, key=lambda f: (f.area, f.category, -LEVELS.index(f.level), f.reason_en)):
        node = finding.area, finding.category
        together[node] = _together([together[node], finding], node) if node in together else finding
    return [Assigned(finding, tuple(k for k, at in enumerate(running) if at == node)) for node, finding in together.items()]


def _broadest_first(f: Finding, areas: Tree, categories: Tree) -> tuple[int, int, int, float, str, str]:
    size = -abs(f.observed - f.expected)
    return len(areas.path(f.area)), len(categories.path(f.category)), -LEVELS.index(f.level), size, f.area, f.category


def _inside(one: Node, other: Node, areas: Tree, categories: Tree) -> bool:
    """Whether a node is another or a part of it along one tree; over the categories of the whole city events do not move."""
    (area, category), (other_area, other_category) = one, other
    if category == other_category:
        return other_area in areas.path(area)
    return area == other_area != ALL and other_category in categories.path(category)


def one_event(one: Node, other: Node, areas: Tree, categories: Tree) -> bool:
    """Whether what is found at two nodes is one event."""
    return _inside(one, other, areas, categories) or _inside(other, one, areas, categories)


def _later_ones(findings: Sequence[Finding], areas: Tree, categories: Tree) -> set[Node]:
    """Nodes of findings that began after a broader one of the same day: placement says that they are none of its parts."""
    found = [((f.area, f.category), f.onset) for f in findings]
    return {at for at, onset in found if any(node != at and onset > begun and _inside(at, node, areas, categories) for node, begun in found)}


def _one_with(
    finding: Finding, where: Sequence[Event | None], apart: Collection[Node], found_at: Collection[Node], areas: Tree, categories: Tree
) -> list[int]:
    """Positions of the events that a finding belongs to.

    Args:
        where: the events, those that are part of another left out (None).
        apart: nodes of findings that are no part of a broader one of their day.
        found_at: nodes of all findings of the day.
    """
    node = finding.area, finding.category
    at = {k: event for k, event in enumerate(where) if event is not None and _belongs(finding, event, areas, categories)}
    if node in apart:
        at = {k: event for k, event in at.items() if event.node == node or _took_in(event, finding)}
    at = {k: event for k, event in at.items() if event.node == node or event.node not in apart}
    if any(event.node == node for event in at.values()):
        at = {k: event for k, event in at.items() if event.node == node or _is_hidden(event, finding, found_at, areas, categories)}
    return list(at)


def _took_in(event: Event, finding: Finding) -> bool:
    """Whether what an event has taken in began as late as a finding: then placement may take them apart and put them together by turns."""
    return event.begun < event.spread >= finding.onset


def _is_past(event: Event | None, node: Node, finding: Finding, areas: Tree, categories: Tree) -> bool:
    """Whether an event was past its peak when a finding around it began."""
    if event is None or event.peak is None or event.node == node or not _inside(event.node, node, areas, categories):
        return False
    return event.peak < finding.onset <= finding.day


def _is_hidden(event: Event | None, finding: Finding, found_at: Collection[Node], areas: Tree, categories: Tree) -> bool:
    """Whether an event lies in a finding's node and is not found by itself that day; of one seen later an older day tells nothing."""
    node = finding.area, finding.category
    return event is not None and event.seen <= finding.day and event.node not in found_at and _inside(event.node, node, areas, categories)


def _belongs(finding: Finding, event: Event, areas: Tree, categories: Tree) -> bool:
    """Whether a finding is of an event that runs, or of one that begins with this day's findings."""
    at = finding.area, finding.category
    if not one_event(at, event.node, areas, categories):
        return False
    if finding.onset > finding.day:  # what is to come has not begun
        return True
    if at == event.node:  # the most likely onset of what goes on may be the newest day, if that is the worst
        return finding.onset <= event.seen + timedelta(days=1)
    if _inside(at, event.node, areas, categories):
        return finding.onset <= min(event.seen, max(event.begun + timedelta(days=SPREADS), event.spread))
    return finding.onset <= event.seen and event.begun <= min(finding.day, finding.onset + timedelta(days=SPREADS))


def _gathered(findings: Sequence[Finding], running: Sequence[Event], areas: Tree, categories: Tree) -> list[Finding]:
    left = list(findings)
    own = {event.node for event in running}
    for event in running:
        same = [f for f in left if _belongs(f, event, areas, categories)]
        same = [f for f in same if (f.area, f.category) == event.node or (f.area, f.category) not in own]
        inside = [f for f in same if (f.area, f.category) != event.node and _inside((f.area, f.category), event.node, areas, categories)]
        if inside and len(inside) == len(same):
            inside.sort(key=lambda f: (f.expected - f.observed, f.area, f.category))
            left = [f for f in left if f not in inside] + [_together(inside, event.node)]
    return left


def _together(inside: Sequence[Finding], node: Node) -> Finding:
    """Parts of an event as one finding at its node: the numbers are those of the parts."""
    total = ("observed", "expected", "lower", "upper", "since_observed", "since_expected")
    return replace(
        inside[0],
        area=node[0],
        category=node[1],
        kind=SPIKE if any(f.kind == SPIKE for f in inside) else inside[0].kind,
        level=max((f.level for f in inside), key=LEVELS.index),
        districts=tuple(part for f in inside for part in f.districts),
        onset=min(f.onset for f in inside),
        p_value=min(f.p_value for f in inside),
        reason_zh="".join(f.reason_zh for f in inside),
        reason_en=" ".join(f.reason_en for f in inside),
        **{name: sum(getattr(f, name) for f in inside) for name in total},
    )
