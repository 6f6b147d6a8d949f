"""An alert in at most 140 characters, as it goes into a group chat or a text message, in Chinese and in English.

What cannot be left out is told first: that it is internal, colour, kind, place, category, the numbers. The rest follows as long as there is
room; where even that is too long, the labels are cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from forecasting.detection.explain import number
from forecasting.detection.finding import DATA, SEASONAL

LONGEST = 140  # characters: what a text message and a grid worker's group chat show whole (the domain's rule)
CUT = "…"

NOTICE = ("诉求预警(内部)", "internal demand alert")
"""Public warnings have the same colours: ours must not be taken for one."""
NOTICE_OF_DATA = ("数据提示(内部)", "internal note on the data")
LEVELS = {"blue": ("蓝色", "blue"), "yellow": ("黄色", "yellow"), "orange": ("橙色", "orange"), "red": ("红色", "red")}
KINDS = {
    "SEASONAL": ("季节性", "seasonal"),
    "SPIKE": ("突增", "spike"),
    "EMERGING": ("苗头性", "emerging"),
    "FIRST_SEEN": ("首发", "first seen"),
    "DATA": ("数据", "data"),
}


@dataclass(frozen=True)
class Told:
    """What there is to tell; the numbers as in `finding.Finding`. Labels, units and reasons are (zh, en).

    Attributes:
        day: the last day on which it was found.
        since_observed, since_expected: tickets from the onset to that day, if they are known.
    """

    kind: str
    level: str
    area: tuple[str, str]
    category: tuple[str, str]
    reason: tuple[str, str]
    onset: date
    day: date
    peak: date | None
    observed: float | None
    expected: float
    lower: float
    upper: float
    lead_unit: str | None = None
    time_limit: str | None = None
    since_observed: float | None = None
    since_expected: float | None = None


def notice(kind: str) -> tuple[str, str]:
    """What it is, (zh, en): an internal alert, or a note on the data."""
    return NOTICE_OF_DATA if kind == DATA else NOTICE


def short(told: Told) -> tuple[str, str]:
    """The alert in one line of at most `LONGEST` characters, (zh, en)."""
    return _line(told, 0), _line(told, 1)


def _line(told: Told, k: int) -> str:
    head = f"【{notice(told.kind)[0]}】" if k == 0 else f"[{notice(told.kind)[1]}] "
    if told.kind != DATA:
        colour, kind = LEVELS[told.level][k], KINDS[told.kind][k]
        head += f"{colour}·{kind}·" if k == 0 else f"{colour} {kind}, "
    core, more = ([_plain(told.reason[k])], []) if told.kind == DATA else _numbers(told, k)
    area, category = _plain(told.area[k]), _plain(told.category[k])
    tail = core[0]
    room = LONGEST - len(head) - len(tail) - len(_place("", "", k))
    area, category = _fit(area, category, max(room, 24))  # at least a few characters of each, at the cost of the reason
    text = f"{head}{_place(area, category, k)}{tail}"
    for part in more:
        if len(text) + len(part) <= LONGEST:
            text += part
    return _cut(text, LONGEST)


def _place(area: str, category: str, k: int) -> str:
    return f"{area}·{category}:" if k == 0 else f"{category} in {area}: "


def _numbers(told: Told, k: int) -> tuple[list[str], list[str]]:
    """What must be said, and what may be if there is room, the most useful first. A day that is none too many says nothing of what goes on."""
    expected, interval = number(told.expected), f"{number(told.lower)}–{number(told.upper)}"
    observed = "?" if told.observed is None else number(told.observed)
    since = f"{told.onset:%m-%d}"
    if told.kind == SEASONAL:
        peak = f"{told.peak or told.onset:%m-%d}"
        core = (
            f"预计 {peak} 前后达峰,高峰周日均 {expected} 件,近期 {observed} 件",
            f"peak about {peak}, {expected} a day in the highest week, {observed} of late",
        )
    elif told.since_observed is not None and told.since_expected is not None and (told.observed or 0.0) <= told.upper and told.onset < told.day:
        came, usual = number(told.since_observed), number(told.since_expected)
        core = f"{since} 以来受理 {came} 件,预期 {usual} 件", f"{came} since {since}, {usual} expected"
        return [core[k]], [(f";{told.day:%m-%d} {observed} 件", f"; {observed} on {told.day:%m-%d}")[k], *_charge(told, k)]
    else:
        core = f"{told.day:%m-%d} 受理 {observed} 件,预期 {expected} 件", f"{observed} on {told.day:%m-%d}, {expected} expected"
    more = [
        (f"(90% 区间 {interval})", f" (90 % interval {interval})"),
        (f";自 {since} 起", f"; since {since}") if told.onset != told.day else ("", ""),
    ]
    return [core[k]], [*(part[k] for part in more), *_charge(told, k)]


def _charge(told: Told, k: int) -> list[str]:
    """Who takes the lead, and until when."""
    lead = (f";牵头:{_plain(told.lead_unit)}", f"; lead: {_plain(told.lead_unit)}") if told.lead_unit else ("", "")
    limit = (f";时限:{_plain(told.time_limit)}", f"; limit: {_plain(told.time_limit)}") if told.time_limit else ("", "")
    return [lead[k], limit[k]]


def _plain(text: str) -> str:
    """On one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _fit(area: str, category: str, room: int) -> tuple[str, str]:
    """Both, cut so that together they have no more characters than there is room; the longer one first."""
    shares: Sequence[int] = (len(area), len(category))
    if sum(shares) <= room:
        return area, category
    half = room // 2
    first = min(len(area), max(half, room - len(category)))
    return _cut(area, first), _cut(category, room - first)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: max(longest - 1, 0)] + CUT
