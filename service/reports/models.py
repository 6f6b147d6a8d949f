"""The monthly model report: what was promised and what came, beside what a challenger would have promised; what alerts turned out to be; whether what
comes in still comes as it did; what the gate said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from forecasting import promised as scores
from forecasting.drift import Drift
from forecasting.errors import InputError
from service.clock import Clock
from service.reports import checks, shadow
from service.reports.markdown import named, percent, table
from service.store import alerts, areas, categories, drift, forecast_sets, promised, runs

WORST = 10  # of categories and of series
MOVED = 5  # parts of a mix
HEADS = ("rows", "tickets", "WAPE", "by chance", "bias", "cover 80", "cover 90", "WQL", "skill")


@dataclass(frozen=True)
class Month:
    """What the report tells.

    Attributes:
        first, last: days of the month that were compared.
        sums: `level, area, category, week_ahead`, `promised.SUMS`: of every level, by district or by category as it has them.
        series: every series and day, see `store.promised.by_series`.
        verdicts: by category and kind.
        drifts: by the day on which a week ends, and input.
        nights: attempts at training, the first one first.
        judged: what the gate was asked about, the first one first.
        pairs: what was published beside what the challenger made, see `shadow.pairs`.
        names: code -> Chinese label, of areas and categories.
    """

    first: date
    last: date
    sums: pd.DataFrame
    series: pd.DataFrame
    verdicts: Sequence[alerts.Verdicts]
    drifts: Mapping[date, Mapping[str, Drift]]
    nights: Sequence[runs.Run]
    judged: Sequence[forecast_sets.About]
    pairs: pd.DataFrame
    names: Mapping[str, str]


def read(conn: Connection, clock: Clock, month: date) -> Month:
    """Everything of a month.

    Args:
        month: any day of it.

    Raises:
        InputError: no day of it was compared with a forecast that was published before.
    """
    start = month.replace(day=1)
    end = (start + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    span = promised.span(conn)
    if span is None or span[0] > end or span[1] < start:
        known = "nothing was compared yet" if span is None else f"the days from {span[0]} to {span[1]} were compared"
        raise InputError(f"no day of {start:%Y-%m} was compared with a published forecast", "--month", f"{known}; every night does")
    first, last = max(start, span[0]), min(end, span[1])
    by_category = promised.read(conn, first, last, ("city", "category", "series"), ("horizon", "category"))
    by_district = promised.read(conn, first, last, ("district",), ("horizon", "area"))
    sums = pd.concat([by_category, by_district], ignore_index=True)
    raised = alerts.AlertFilters(raised_from=datetime.combine(start, time.min, clock.zone), raised_before=clock.end_of(end))
    nodes = pd.concat([areas.frame(conn), categories.frame(conn)])
    return Month(
        first,
        last,
        sums.assign(week_ahead=(sums["horizon"] - 1) // scores.WEEK + 1),
        promised.by_series(conn, first, last),
        alerts.verdicts(conn, raised),
        drift.read(conn, start, end),
        _nights(conn, start, end),
        forecast_sets.judged(conn, start, end),
        shadow.pairs(conn, first, last),
        dict(zip(nodes["code"], nodes["zh"].astype(str), strict=True)),
    )


def markdown(month: Month) -> str:
    """The report as Markdown."""
    sums, names = month.sums, month.names
    of = {level: sums[sums["level"] == level] for level in scores.LEVELS}
    parts = [
        f"# Model report {month.first:%Y-%m}",
        f"Days from {month.first} to {month.last}, each against every forecast that was published before it was over, one to "
        f"{sums['horizon'].max()} days ahead, as published. *By chance*: the WAPE that chance alone makes. *Skill*: against the same weekday of the "
        "last week known at the cutoff. 80 % and 90 % are meant to be covered.",
        "## Accuracy by level",
        _accuracy(sums, "level", scores.LEVELS, {}),
        "## By week ahead",
        *(f"### {level}\n\n{_accuracy(of[level], 'week_ahead', None, {})}" for level in scores.LEVELS if len(of[level])),
        "## By category, whole city",
        _accuracy(of["category"], "category", None, names),
        "## By district",
        _accuracy(of["district"], "area", None, names),
        "## Worst",
        "Errors beyond what chance makes, in tickets; categories over all horizons, series by the newest forecast of each day.",
        _worst_categories(of["category"], names),
        _worst_series(month.series, names),
        "## The challenger in shadow",
        shadow.markdown(month.pairs),
        "## Alerts",
        _alerts(month.verdicts),
        "## What came in",
        _drifts(month.drifts, names),
        "## Nights",
        _told_nights(month.nights),
        "## The gate",
        checks.markdown(month.judged),
    ]
    return "\n\n".join(parts) + "\n"


def _nights(conn: Connection, first: date, last: date) -> list[runs.Run]:
    found: list[runs.Run] = []
    page = runs.list_runs(conn, 100)
    while page and page[-1].business_date >= first:
        found += page
        page = runs.list_runs(conn, 100, page[-1].id)
    return sorted((run for run in [*found, *page] if first <= run.business_date <= last), key=lambda run: (run.business_date, run.attempt))


def _accuracy(sums: pd.DataFrame, by: str, order: Sequence[str] | None, names: Mapping[str, str]) -> str:
    """A table with a row for each value of a column: in a given order, or numbers ascending, or the most tickets first."""
    added = sums.groupby(by)[list(scores.SUMS)].sum()
    if order is not None:
        added = added.reindex([one for one in order if one in added.index])
    elif added.index.dtype.kind not in "iu":
        added = added.sort_values("actual", ascending=False)
    ratios = scores.ratios(added)
    rows = [
        (
            named(str(code), names),
            f"{one.rows:,.0f}",
            f"{one.actual:,.0f}",
            *(percent(float(ratios[name].loc[code])) for name in ("wape", "chance", "bias", "cover80", "cover90", "wql", "skill")),
        )
        for code, one in zip(added.index, added.itertuples(), strict=True)
    ]
    return table((by.replace("_", " "), *HEADS), rows)


def _worst_categories(sums: pd.DataFrame, names: Mapping[str, str]) -> str:
    added = sums.groupby("category")[list(scores.SUMS)].sum()
    return _worst("category", [named(str(code), names) for code in added.index], added)


def _worst_series(series: pd.DataFrame, names: Mapping[str, str]) -> str:
    error = (series["expected"] - series["observed"]).abs()
    rows = series.assign(rows=1, absolute=error, chance=scores.chance(series["expected"].to_numpy(float)))
    rows = rows.rename(columns={"observed": "actual", "expected": "forecast"})
    added = rows.groupby(["area", "category"])[["rows", "actual", "forecast", "absolute", "chance"]].sum()
    return _worst("series", [f"{named(str(area), names)} × {named(str(category), names)}" for area, category in added.index], added)


def _worst(head: str, labels: Sequence[str], added: pd.DataFrame) -> str:
    beyond = (added["absolute"] - added["chance"]).to_numpy(float)
    rows = [
        (labels[k], f"{added['actual'].iloc[k]:,.0f}", f"{added['forecast'].iloc[k]:,.0f}", f"{added['absolute'].iloc[k]:,.0f}", f"{beyond[k]:,.0f}")
        for k in np.argsort(-beyond, kind="stable")[:WORST]
    ]
    return table((head, "tickets", "forecast", "error", "beyond chance"), rows)


def _alerts(verdicts: Sequence[alerts.Verdicts]) -> str:
    counted: dict[str, dict[str | None, int]] = {}
    for one in verdicts:
        mine = counted.setdefault(one.kind, {})
        mine[one.verdict] = mine.get(one.verdict, 0) + one.alerts
    rows = [
        (kind, *(f"{number}" for number in (sum(mine.values()), *(mine.get(verdict, 0) for verdict in (*alerts.VERDICTS, None)))))
        for kind in alerts.KINDS
        if (mine := counted.get(kind, {}))
    ]
    return table(("kind", "raised", "confirmed", "refuted", "acted on", "not judged"), rows) if rows else "No alert was raised."


def _drifts(found: Mapping[date, Mapping[str, Drift]], names: Mapping[str, str]) -> str:
    """Of each input the newest week, and the one that was farthest from the four before it."""
    rows = []
    for name in drift.INPUTS:
        weeks = [(day, of_day[name]) for day, of_day in sorted(found.items()) if name in of_day]
        for what, day, one in [("newest", *weeks[-1]), ("farthest", *max(weeks, key=lambda week: week[1].psi))] if weeks else []:
            moved = "; ".join(f"{named(part.code, names)} {percent(part.before)} → {percent(part.last)}" for part in one.parts[:MOVED])
            rows.append((name, f"{what}, to {day}", f"{one.psi:.3f}", f"{one.chance:.3f}", one.state, moved))
    return table(("input", "week", "PSI", "by chance", "moved", "parts"), rows) if rows else "Nothing is known of the weeks before."


def _told_nights(nights: Sequence[runs.Run]) -> str:
    done = {run.business_date for run in nights if run.status == runs.DONE}
    failed = [run for run in nights if run.status == runs.FAILED]
    rows = [(f"{run.business_date}", f"{run.attempt}", (run.error or "").strip().partition("\n")[0]) for run in failed]
    text = f"{len(done)} trained, {len(failed)} failed attempts."
    return f"{text}\n\n{table(('night', 'attempt', 'why'), rows)}" if rows else text
