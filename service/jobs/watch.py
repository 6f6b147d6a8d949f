"""The watch: every finished day against what was said to be usual before it came, and the coming days against the last four weeks.

What is due to the data is told apart first; what is seen for the first time needs no forecast. Last comes the day that is running, hour by hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine

from experiments import gate_note
from forecasting import distribution, intraday
from forecasting.detection import data_faults, excess, first_seen, issued, running_day, seasonal, usual
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import DATA, GROWS, SEASONAL, Finding
from forecasting.forecast_set import ForecastSet, unpack
from forecasting.hierarchy import ALL
from forecasting.models.base import Known
from service.alerting import lifecycle, tuning
from service.jobs import knowledge, today, weather
from service.settings import Settings
from service.store import category_map, day_scores, engine, forecast_sets

LOOK_BACK = 28  # finished days at most that are caught up after an outage


@dataclass(frozen=True)
class Watched:
    """What one pass did.

    Attributes:
        days: finished days that were scored.
        raised, followed, resolved: alerts.
    """

    days: tuple[date, ...]
    raised: int
    followed: int
    resolved: int


def run(db: Engine, settings: Settings) -> Watched:
    """Scores the finished days that are not yet scored (and the newest again), and carries the alerts over them.

    Each day is one transaction. A second pass over the same data changes nothing.

    Raises:
        InputError: the store holds no counts.
    """
    with engine.reading(db) as conn:
        until = knowledge.complete_until(conn, settings.clock)
        known = knowledge.known(conn, settings, until)
        # A forecast speaks in the codes of its night, and a day after it is filed in them: what is carried over would be judged twice.
        filed = known if category_map.read(conn).table.empty else knowledge.known(conn, settings, until, as_filed=True)
        labels, safety = knowledge.labels(conn), knowledge.safety(conn)
        scored = day_scores.newest(conn)
        stricter = tuning.stricter(conn, filed.categories, settings.clock.now())
    first = max(scored, until - timedelta(days=LOOK_BACK)) if scored else until - timedelta(days=LOOK_BACK)
    done: list[date] = []
    total = lifecycle.Applied()
    published: dict[date, Published | None] = {}
    for day in (first + timedelta(days=k) for k in range((until - first).days + 1)):
        with engine.reading(db) as conn:
            published |= {d: _published(conn, d) for d in _window(day) if d not in published}
        before = published[day]
        if before is None:
            continue
        days = _days(filed, day, before.usual, published)
        scores = _scores(days, before.frame)
        if scores.empty:
            continue
        judged = data_faults.detect(day, days, filed.areas, filed.categories, labels)
        more = running_day.OF_DAY if before.by_hour else 0.0
        budget = settings.false_alerts_per_day
        found = excess.detect(day, judged.days, filed.areas, filed.categories, labels, safety, budget, stricter, more=more)
        found += first_seen.look(day, filed.hierarchy, filed.panel.counts[:, : _column(filed, day) + 1], labels)
        with engine.writing(db) as conn:
            day_scores.put(conn, day, before.set_id, scores)
            now = settings.clock.now()
            for kinds, mine in (
                (GROWS, found),
                ((DATA,), [*judged.notes, *_refusals(conn, day), *(weather.late(conn, settings, day) if day == until else [])]),
            ):
                total = _add(total, lifecycle.apply(conn, kinds, mine, day, now, before.set_id, filed.areas, filed.categories, budget))
        done.append(day)
    with engine.reading(db) as conn:
        pointer = forecast_sets.pointer(conn)
        current = forecast_sets.get(conn, pointer) if pointer is not None else None
    if current is not None and current.cutoff == until:
        coming = _coming(known, current)
        rises = seasonal.detect(until, *coming, known.areas, known.categories, labels)
        with engine.writing(db) as conn:
            now = settings.clock.now()
            total = _add(total, lifecycle.apply(conn, (SEASONAL,), rises, until, now, current.id, known.areas, known.categories))
    total = _add(total, _running_day(db, settings, filed, published, labels, safety, stricter))
    return Watched(tuple(done), total.raised, total.followed, total.resolved)


def _running_day(
    db: Engine,
    settings: Settings,
    filed: Known,
    published: dict[date, "Published | None"],
    labels: Labels,
    safety: frozenset[str],
    stricter: Mapping[str, float],
) -> lifecycle.Applied:
    """Events at the end of the last full hour of today; nothing before the first is over, or where nothing is published for the day."""
    now = settings.clock.local_now()
    day, hour = now.date(), now.hour - 1
    if hour < 0:
        return lifecycle.Applied()
    with engine.reading(db) as conn:
        published |= {d: _published(conn, d) for d in _window(day) if d not in published}
        before = published[day]
        if before is None:
            return lifecycle.Applied()
        days = _days(filed, day, before.usual, published)
        so_far = today.by_hour(conn, settings, filed, day, days)
    if so_far is None:
        return lifecycle.Applied()
    came, share = so_far
    past = replace(days, observed=days.observed[:, :-1], mean=days.mean[:, :-1], dispersion=days.dispersion[:, :-1])
    judged = data_faults.detect(day - timedelta(days=1), past, filed.areas, filed.categories, labels)
    faulty = frozenset(note.area for note in judged.notes if note.category == ALL)
    came, share = running_day.without(faulty, days.nodes, days.mean[:, -1], came, share, filed.areas)
    days.observed[:, :-1], days.mean[:, :-1] = judged.days.observed, judged.days.mean
    budget = settings.false_alerts_per_day
    found = running_day.detect(day, days, came, share, hour, filed.areas, filed.categories, labels, safety, budget, stricter)
    with engine.writing(db) as conn:
        return lifecycle.apply(conn, GROWS, found, day, settings.clock.now(), before.set_id, filed.areas, filed.categories, budget)


def _refusals(conn: Connection, day: date) -> list[Finding]:
    """A note, if the forecasts that were made after a day did not pass the gate."""
    failed = forecast_sets.failed(conn, day)
    instead = forecast_sets.served_after(conn, day)
    if failed is None or failed.gate is None or instead is None:
        return []
    return [gate_note.note(day, failed.gate, None if failed.published_at else instead)]


def _add(one: lifecycle.Applied, other: lifecycle.Applied) -> lifecycle.Applied:
    return lifecycle.Applied(one.raised + other.raised, one.followed + other.followed, one.resolved + other.resolved)


@dataclass(frozen=True)
class Published:
    """What was forecast for a day before it came, and the set that says so.

    Attributes:
        frame: `area`, `category`, `mean`, `dispersion`.
        usual: the same rows as they are judged by, with `shift`, see `issued.usual_day`.
        by_hour: whether the day can be looked at hour by hour as well.
    """

    set_id: int
    frame: pd.DataFrame
    usual: pd.DataFrame
    by_hour: bool


def _published(conn: Connection, day: date) -> Published | None:
    before = forecast_sets.latest_before(conn, day)
    if before is None or (day - before.cutoff).days > before.horizon:
        return None
    by_hour = before.hours is not None and not unpack(before.hours, intraday.COLUMNS).empty
    frame = ForecastSet.of_day(before.blob, day)
    return Published(before.id, frame, issued.usual_day(frame, _standing(before)), by_hour)


def _window(day: date) -> list[date]:
    """The last days of which detection looks at the sums, the given one last."""
    return [day - timedelta(days=k) for k in reversed(range(usual.DAYS))]


def _days(known: Known, day: date, newest: pd.DataFrame, published: Mapping[date, Published | None]) -> Days:
    """What came on the last days beside what was usual on each of them, of the nodes of the newest."""
    place = pd.MultiIndex.from_frame(newest[["area", "category"]])
    shape = len(place), usual.DAYS
    observed, mean, dispersion = np.full(shape, np.nan), np.full(shape, np.nan), np.full(shape, np.nan)
    line = pd.MultiIndex.from_frame(known.hierarchy.nodes[["area", "category"]]).get_indexer(place)
    at = known.panel.days.get_indexer(pd.DatetimeIndex(_window(day)))
    # A node of the forecast that no ticket has named since is not in the panel: nothing came.
    observed[:, at >= 0] = np.where(line[:, None] >= 0, known.counts[np.maximum(line, 0)[:, None], at[at >= 0]], 0.0)
    for k, one in enumerate(published[d] for d in _window(day)):
        if one is not None:
            row = pd.MultiIndex.from_frame(one.usual[["area", "category"]]).get_indexer(place)
            for values, column in ((mean, "mean"), (dispersion, "dispersion")):
                values[row >= 0, k] = one.usual[column].to_numpy(float)[row[row >= 0]]
    return Days(list(place), observed, mean, dispersion, newest["shift"].to_numpy(float))


def _scores(days: Days, forecast: pd.DataFrame) -> pd.DataFrame:
    """How the newest day compares with its forecast as it was published; missing nodes are left out."""
    there = ~np.isnan(days.observed[:, -1])
    observed, (mean, dispersion) = days.observed[there, -1], forecast.loc[there, ["mean", "dispersion"]].to_numpy(float).T
    nodes = pd.DataFrame([node for node, is_there in zip(days.nodes, there, strict=True) if is_there], columns=["area", "category"])
    return nodes.assign(
        observed=observed.astype(int),
        expected=mean,
        p_value=distribution.tail(mean, dispersion, observed),
        pit=distribution.mid_pit(mean, dispersion, observed),
    )


def _column(known: Known, day: date) -> int:
    """Position of a day."""
    return int(known.panel.days.get_indexer(pd.DatetimeIndex([day]))[0])


def _coming(known: Known, current: forecast_sets.ForecastSet) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
    """Nodes with their recent level, and the means and dispersions [M, H] of a forecast set."""
    ordered = ForecastSet.from_parquet(current.blob).frame.sort_values(["area", "category", "horizon"])
    nodes = ordered.loc[ordered["horizon"] == 1, ["area", "category"]]
    place = pd.MultiIndex.from_frame(nodes)
    line = pd.MultiIndex.from_frame(known.hierarchy.nodes[["area", "category"]]).get_indexer(place)
    came = np.where(line[:, None] >= 0, known.counts[np.maximum(line, 0), -seasonal.RECENT :], np.nan)
    frame, of_late = seasonal.compared(list(place), came)
    means, dispersion = (ordered[c].to_numpy(float).reshape(-1, current.horizon) for c in ("mean", "dispersion"))
    means = seasonal.at_level(means, issued.level(nodes, _standing(current)))
    return frame, means[of_late], dispersion[of_late]


def _standing(stored: forecast_sets.ForecastSet) -> pd.DataFrame | None:
    return None if stored.standing is None else unpack(stored.standing, issued.STANDING)
