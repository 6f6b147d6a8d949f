"""What the gate said in a month: every check with its figure and its limit."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import Any

from experiments import gate_note
from service.reports.markdown import table
from service.store.forecast_sets import About

Asked = tuple[date, dict[str, Any]]  # the cutoff, and a check as `gate.Check.told` has it


def markdown(judged: Sequence[About]) -> str:
    """By check the newest figure and the one nearest to, or farthest beyond, its limit; then all that did not hold.

    Args:
        judged: forecast sets that the gate was asked about, the earliest first.
    """
    asked = [(one, check) for one in judged for check in one.gate or ()]
    if not asked:
        return "The gate was not asked."
    rows = []
    for name in gate_note.NAMES:
        mine: list[Asked] = [(one.cutoff, check) for one, check in asked if check["name"] == name]
        if mine:
            failed = sum(not check["passed"] for _, check in mine)
            rows.append((f"{name}: {gate_note.NAMES[name][1]}", f"{len(mine)}", f"{failed}", *_figure(mine[-1]), *_figure(max(mine, key=_nearness))))
    heads = ("check", "asked", "failed", "newest", "limit", "night", "nearest", "limit", "night")
    refused = list(_refused(asked))
    more = table(("night", "forecast set", "check", "figure", "limit", "served"), refused) if refused else "Every check held."
    return f"{table(heads, rows)}\n\n{more}"


def _refused(asked: Iterable[tuple[About, dict[str, Any]]]) -> Iterator[tuple[str, ...]]:
    for one, check in asked:
        if not check["passed"]:
            figure, limit, night = _figure((one.cutoff, check))
            yield night, f"{one.id}", check["name"], figure, limit, "no" if one.published_at is None else "yes"


def _figure(one: Asked) -> tuple[str, str, str]:
    """What was measured, the limit and the cutoff."""
    day, check = one
    measured, limit = (gate_note.number(check["name"], check[key]) for key in ("measured", "limit"))
    place = gate_note.PLACES.get(check["where"], ("", ""))[1]
    return f"{measured} ({place})" if place else measured, f"{'≥' if check['at_least'] else '≤'} {limit}", f"{day}"


def _nearness(one: Asked) -> float:
    """How near a figure is to its limit from the good side; beyond it above 0. What could not be measured is farthest beyond."""
    _, check = one
    if check["measured"] is None or check["limit"] is None:
        return float("inf")
    return float(check["limit"] - check["measured"] if check["at_least"] else check["measured"] - check["limit"])
