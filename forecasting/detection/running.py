"""Events that run, from day to day: raised once, followed, gone up a level, over after some usual days. One family of kinds at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256

from forecasting.detection import events, ration
from forecasting.detection.events import LONGEST, USUAL_DAYS, Event
from forecasting.detection.finding import DATA, EXCESS, FIRST_SEEN, GROWS, Finding
from forecasting.detection.levels import LEVELS
from forecasting.hierarchy import Tree


@dataclass(frozen=True)
class Running:
    """An event that has been raised.

    Attributes:
        alert_id: the same as long as it runs.
        finding: the newest of it, with the highest level and the earliest onset so far.
        spread: as `events.Event` has it.
        usual_days: days in a row since then on which its node had data and nothing was found.
    """

    alert_id: str
    finding: Finding
    spread: date
    usual_days: int = 0


def carry(
    running: Sequence[Running],
    findings: Sequence[Finding],
    day: date,
    areas: Tree,
    categories: Tree,
    silent: Sequence[bool] | None,
    room: float,
    peak: Callable[[Finding], date],
    over: Sequence[Running] = (),
) -> tuple[list[Running], list[Running], list[Running]]:
    """Carries events over what was found on a day.

    Args:
        running: the oldest first.
        silent: of each running event whether its node has no data for the day, which then is no usual day; None: the day is not over, and no
            event is over on it.
        room: how many small events may still begin, see `ration`.
        peak: the day with the most tickets at a finding's node since its onset.
        over: what was found on this day and is part of another since: it is not told anew.

    Returns:
        those that run on, those of them that were raised or went up a level, and those that are part of another now.
    """
    there, ended = [_event(one) for one in running], [_event(one) for one in over]
    now = list(running)
    parts: set[int] = set()
    told: list[Running] = []
    begun: list[Running] = []
    notes = any(finding.kind == DATA for finding in findings)
    found = events.notes(findings, [event.node for event in there]) if notes else events.assign(findings, there, areas, categories)
    fresh = [one for one in found if one.running or not events.is_over(one.finding, ended, areas, categories)]
    for assigned in ration.told(fresh, room):
        finding, spread = assigned.finding, events.spread(assigned, there)
        grown = [k for k in assigned.running if outgrown(running[k].finding.kind, running[k].finding.day, finding)]
        keep = [*grown, *assigned.running][:1]
        parts |= {*assigned.running, *assigned.taken} - set(keep)
        if not keep:
            begun.append(Running(_name(finding), replace(finding, peak=peak(finding)), spread))
            continue
        if grown:
            continue
        old = running[keep[0]]
        higher = LEVELS.index(finding.level) > LEVELS.index(old.finding.level)
        onset = min(old.finding.onset, finding.onset)
        kind = max(old.finding.kind, finding.kind, key=GROWS.index) if finding.kind in GROWS else finding.kind
        level = finding.level if higher else old.finding.level
        followed = replace(finding, kind=kind, level=level, onset=onset)
        new = Running(old.alert_id, replace(followed, peak=peak(followed)), spread)
        now[keep[0]] = new
        told += [new] if higher and keep[0] not in parts else []
    kept = []
    for k, one in enumerate(now):
        if k in parts:
            continue
        if one.finding.day < day and silent is not None:
            one = replace(one, usual_days=one.usual_days + (not silent[k]))
            if one.usual_days >= USUAL_DAYS or (day - one.finding.day).days >= LONGEST:
                continue
        kept.append(one)
    begun.sort(key=lambda one: one.alert_id)  # the order in which a store lists those of one moment
    return kept + begun, begun + told, [now[k] for k in sorted(parts)]


def outgrown(kind: str, day: date, finding: Finding) -> bool:
    """Whether an event has become more on a finding's day than the finding, which is of what is only new.

    Args:
        kind, day: of the newest finding of the event.
    """
    return kind in EXCESS and finding.kind == FIRST_SEEN and day == finding.day


def _event(one: Running) -> Event:
    f = one.finding
    return Event((f.area, f.category), f.onset, one.spread, f.day, f.peak)


def _name(finding: Finding) -> str:
    return sha256(f"{finding.kind}|{finding.area}|{finding.category}|{finding.onset}|{finding.day}".encode()).hexdigest()[:16]
