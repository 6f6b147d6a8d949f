"""What an alert rests on, from what is stored: scores of the days as the watch saw them, the forecast sets, past alerts and their verdicts."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from forecasting import distribution, explanation
from forecasting.detection import events, why
from forecasting.detection.evidence import DECADE
from forecasting.detection.finding import EXCESS, GROWS, SEASONAL
from forecasting.hierarchy import ALL
from service.alerting import tuning
from service.api.alerts.schemas import AppliedThreshold, AtWork, Carrier, Carriers, Peak, SimilarEvent, Since, Why
from service.api.alerts.view import AlertView, label_of
from service.api.forecasts.schemas import Contribution
from service.store import alerts as store
from service.store import day_scores, forecast_sets
from service.store.categories import OWN
from service.store.keys import Caller

LONGEST = 60  # days since the onset that are looked at: a season is told by its last two months
MONTH = 28  # days that a coming rise is compared with, as the watch does
AROUND = 3  # days before and after the peak of a coming rise: its week
AHEAD = 14  # days to come among which the likely peak is looked for: events last days, not months
SIMILAR = 5
LOOKED_THROUGH = 200  # past alerts at most among which similar ones are looked for

By = Literal["district", "street", "category"]


def why_of(conn: Connection, view: AlertView, caller: Caller, alert: store.Alert) -> Why:
    """What an alert rests on, as a caller may see it."""
    node = day_scores.of_nodes(conn, _days(alert.onset, alert.last_day), [alert.area], [alert.category])
    past = _similar(conn, view, caller, alert)
    scored = [(one, _course(conn, one)) for one in past]
    return Why(
        since=_since(node),
        carriers=[found for by, codes in _children(view, alert) if (found := _carriers(conn, view, alert, by, codes))],
        at_work=_at_work(conn, view, alert),
        likely_peak=_peak(conn, view, alert, node, [course for _, course in scored]),
        similar=[_event(view, one, course) for one, course in scored],
        threshold=_threshold(conn, view, alert),
    )


def _days(first: date, last: date) -> list[date]:
    """From the first to the last, `LONGEST` at most."""
    return [last - timedelta(days=k) for k in reversed(range(min((last - first).days + 1, LONGEST)))]


def _since(node: pd.DataFrame) -> Since | None:
    if node.empty:
        return None
    days = node["date"].dt.date
    return Since(first_day=days.iloc[0], last_day=days.iloc[-1], observed=float(node["observed"].sum()), expected=float(node["expected"].sum()))


def _children(view: AlertView, alert: store.Alert) -> list[tuple[By, list[str]]]:
    areas = [code for code, node in view.areas.by_code.items() if node.parent == alert.area]
    categories = [code for code, node in view.categories.by_code.items() if node.parent == alert.category]
    if categories and alert.category != ALL:
        categories.append(alert.category + OWN)
    by: By = "district" if alert.area == ALL else "street"
    return [(axis, codes) for axis, codes in ((by, areas), ("category", categories)) if codes]


def _carriers(conn: Connection, view: AlertView, alert: store.Alert, by: By, codes: Sequence[str]) -> Carriers | None:
    areas, categories = ([alert.area], [*codes, alert.category]) if by == "category" else ([*codes, alert.area], [alert.category])
    axis = "category" if by == "category" else "area"
    itself = alert.category if by == "category" else alert.area
    table = (_coming if alert.kind == SEASONAL else _came)(conn, view, alert, areas, categories).groupby(axis)[["tickets", "usual"]].sum()
    if itself not in table.index or len(table) < 2:
        return None
    children = table.drop(index=itself)
    came, usual = (float(table[column].loc[[itself]].iloc[0]) for column in ("tickets", "usual"))
    told, rest = why.shares(
        [str(code) for code in children.index],
        children["tickets"].to_numpy(float),
        children["usual"].to_numpy(float),
        came - usual,
    )
    hidden = [one for one in told if axis == "area" and view.own is not None and one.code not in view.own]
    tree = view.categories if axis == "category" else view.areas
    return Carriers(
        by=by,
        parts=[
            Carrier(code=one.code, label=label_of(tree, one.code), tickets=one.tickets, usual=one.usual, share=one.share)
            for one in told
            if one not in hidden
        ],
        rest=min(rest + sum(one.share for one in hidden), 1.0),
    )


def _came(conn: Connection, view: AlertView, alert: store.Alert, areas: Sequence[str], categories: Sequence[str]) -> pd.DataFrame:
    """What came since the onset and what was forecast for it: `area, category, tickets, usual` by day."""
    table = day_scores.of_nodes(conn, _days(alert.onset, alert.last_day), areas, categories)
    return table.rename(columns={"observed": "tickets", "expected": "usual"})


def _coming(conn: Connection, view: AlertView, alert: store.Alert, areas: Sequence[str], categories: Sequence[str]) -> pd.DataFrame:
    """What is forecast for the week about the peak, and the mean of the last four weeks: the same columns, one row a node."""
    rows = view.service.forecasts.rows(conn, alert.forecast_set_id, areas, categories)
    peak = pd.Timestamp(alert.peak or alert.onset)
    week = rows[(pd.to_datetime(rows["date"]) - peak).abs() <= pd.Timedelta(days=AROUND)]
    key = ["area", "category"]
    coming = week.astype(dict.fromkeys(key, str)).groupby(key)["mean"].mean().rename("tickets")
    lately = day_scores.of_nodes(conn, _days(alert.last_day - timedelta(days=MONTH - 1), alert.last_day), areas, categories)
    usual = lately.groupby(key)["observed"].mean().rename("usual")
    return pd.concat([coming, usual], axis=1, join="inner").reset_index()


def _at_work(conn: Connection, view: AlertView, alert: store.Alert) -> AtWork | None:
    day = (alert.peak or alert.onset) if alert.kind == SEASONAL else alert.last_day
    rows = view.service.forecasts.rows(conn, alert.forecast_set_id, [alert.area], [alert.category])
    rows = rows[pd.to_datetime(rows["date"]) == pd.Timestamp(day)]
    if rows.empty or explanation.COLUMNS[0] not in rows:
        return None
    row = explanation.with_parts(rows.iloc[:1])
    parts = {name: float(row[name].item()) for name in explanation.NAMES}
    mean = float(row["mean"].item())
    zh, en = explanation.sentences(view.names(alert.area, alert.category), alert.area, alert.category, day, mean, parts)
    return AtWork(date=day, mean=mean, contributions=Contribution.of(parts), sentence_zh=zh, sentence_en=en)


def _peak(conn: Connection, view: AlertView, alert: store.Alert, node: pd.DataFrame, past: Sequence[pd.DataFrame]) -> Peak | None:
    if alert.kind == SEASONAL:
        rows = view.service.forecasts.rows(conn, alert.forecast_set_id, [alert.area], [alert.category])
        rows = rows[pd.to_datetime(rows["date"]) == pd.Timestamp(alert.peak or alert.onset)]
        return None if rows.empty else _to_come(alert.peak or alert.onset, float(rows["mean"].iloc[0]), float(rows["dispersion"].iloc[0]))
    if alert.kind not in GROWS or (node.empty and alert.observed is None):
        return None
    seen = _highest(node) or Peak(date=alert.last_day, tickets=alert.observed or 0.0, passed=True)
    current = forecast_sets.pointer(conn)
    if alert.status == "resolved" or alert.observed is None or current is None:
        return seen
    rows = view.service.forecasts.rows(conn, current, [alert.area], [alert.category]).sort_values("date")
    rows = rows[pd.to_datetime(rows["date"]) > pd.Timestamp(alert.last_day)].iloc[:AHEAD]
    if rows.empty:
        return seen
    fading = why.fade([(course["observed"] - course["expected"]).to_numpy(float) for course in past])
    likely = why.ahead(rows["mean"].to_numpy(float), alert.observed, alert.expected, fading)
    best = int(likely.argmax())
    if likely[best] <= seen.tickets:
        return seen
    return _to_come(pd.Timestamp(rows["date"].iloc[best]).date(), float(likely[best]), float(rows["dispersion"].iloc[best]))


def _to_come(day: date, mean: float, dispersion: float) -> Peak:
    lower, upper = distribution.quantiles(np.array([mean]), np.array([dispersion]), (0.05, 0.95))[0]
    return Peak(date=day, tickets=mean, lower=float(lower), upper=float(upper), passed=False)


def _highest(course: pd.DataFrame) -> Peak | None:
    if course.empty:
        return None
    row = course.iloc[int(course["observed"].to_numpy().argmax())]
    return Peak(date=row["date"].date(), tickets=float(row["observed"]), passed=True)


def _similar(conn: Connection, view: AlertView, caller: Caller, alert: store.Alert) -> list[store.Alert]:
    """Past alerts of the same event at another time, those of the same node first, then the newest."""
    filters = store.AlertFilters(
        statuses=("resolved",),
        kinds=GROWS if alert.kind in GROWS else (alert.kind,),
        areas={*view.places.path(alert.area), *view.areas.under([alert.area])},
        categories={*view.kinds.path(alert.category), *view.categories.under([alert.category])},
        visible=view.own,
        own=caller.districts or (),
        raised_before=alert.raised_at,
    )
    here = alert.area, alert.category
    found = store.list_alerts(conn, filters=filters, limit=LOOKED_THROUGH)
    alike = [one for one in found if events.one_event((one.area, one.category), here, view.places, view.kinds) and one.onset < alert.onset]
    return sorted(alike, key=lambda one: (one.area, one.category) != here)[:SIMILAR]


def _course(conn: Connection, alert: store.Alert) -> pd.DataFrame:
    """The days of a past alert at its node, and those until it was over."""
    last = max(alert.last_day, alert.peak or alert.last_day) + timedelta(days=events.USUAL_DAYS)
    return day_scores.of_nodes(conn, _days(alert.onset, last), [alert.area], [alert.category])


def _event(view: AlertView, alert: store.Alert, course: pd.DataFrame) -> SimilarEvent:
    row: dict[str, Any] = {"peak": alert.peak, "observed": alert.observed, "expected": alert.expected}
    if not course.empty:
        highest = course.iloc[int(course["observed"].to_numpy().argmax())]
        row = {"peak": highest["date"].date(), "observed": float(highest["observed"]), "expected": float(highest["expected"])}
    return SimilarEvent.model_validate(
        {
            "alert_id": alert.id,
            **{name: getattr(alert, name) for name in ("kind", "level", "area", "category", "onset", "last_day", "verdict")},
            "labels": view.labels(alert.area, alert.category),
            "days": max((alert.last_day - alert.onset).days + 1, 1),
            **row,
        }
    )


def _threshold(conn: Connection, view: AlertView, alert: store.Alert) -> AppliedThreshold | None:
    if alert.kind not in EXCESS:
        return None
    found = tuning.thresholds(conn, view.kinds, alert.raised_at)
    code = next((code for code in view.kinds.path(alert.category) if code in found), None)
    if code is None or not (found[code].true or found[code].false):
        return None
    one = found[code]
    return AppliedThreshold(
        category=code, true=one.true, false=one.false, stricter=one.stricter, times_as_often=float(10 ** (-one.stricter / DECADE))
    )
