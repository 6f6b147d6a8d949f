"""Events that run, from day to day: raised once, followed, gone up a level, over after some usual days. One family of kinds at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from math import inf

from forecasting.detection import events, ration
from forecasting.detection.events import LONGEST, USUAL_DAYS, Event
from forecasting.detection.finding import DATA, GROWS, Finding
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
    room: float = inf,
    peak: Callable[[Finding], date] = lambda finding: finding.peak,
) -> tuple[list[Running], list[Running]]:
    """Carries events over what was found on a day.

    Args:
        running: the oldest first.
        silent: of each running event whether its node has no data for the day, which then is no usual day; None: the day is not over, and no
            event is over on it.
        room: how many small events may still begin, see `ration`.
        peak: the day with the most tickets at a finding's node since its onset; that of the finding, whose event may have begun earlier, where
            nobody knows more.

    Returns:
        those that run on, and those of them that were raised or went up a level.
    """
    there = [Event((one.finding.area, one.finding.category), one.finding.onset, one.spread, one.finding.day, one.finding.peak) for one in running]
    left: list[Running | None] = list(running)
    told: list[Running] = []
    begun: list[Running] = []
    notes = any(finding.kind == DATA for finding in findings)
    found = events.notes(findings, [event.node for event in there]) if notes else events.assign(findings, there, areas, categories)
    for assigned in ration.told(found, room):
        finding, spread = assigned.finding, events.spread(assigned, there)
        for part in (*assigned.running[1:], *assigned.taken):
            left[part] = None
        if not assigned.running:
            begun.append(Running(_name(finding), replace(finding, peak=peak(finding)), spread))
            continue
        keep = assigned.running[0]
        old = running[keep]
        higher = LEVELS.index(finding.level) > LEVELS.index(old.finding.level)
        onset = min(old.finding.onset, finding.onset)
        kind = max(old.finding.kind, finding.kind, key=GROWS.index) if finding.kind in GROWS else finding.kind
        level = finding.level if higher else old.finding.level
        followed = replace(finding, kind=kind, level=level, onset=onset)
        new = Running(old.alert_id, replace(followed, peak=peak(followed)), spread)
        left[keep] = new
        told += [new] if higher else []
    kept = []
    for k, one in enumerate(left):
        if one is None:
            continue
        if one.finding.day < day and silent is not None:
            one = replace(one, usual_days=one.usual_days + (not silent[k]))
            if one.usual_days >= USUAL_DAYS or (day - one.finding.day).days >= LONGEST:
                continue
        kept.append(one)
    return kept + begun, begun + told


def _name(finding: Finding) -> str:
    return sha256(f"{finding.kind}|{finding.area}|{finding.category}|{finding.onset}|{finding.day}".encode()).hexdigest()[:16]
