"""The running day: what came until the last full hour against what is usual by then, so that a burst at nine is raised by ten."""

from datetime import date

import numpy as np
import pandas as pd
from sqlalchemy import Connection

from forecasting import intraday
from forecasting.detection.excess import Days
from forecasting.forecast_set import unpack
from forecasting.models.base import Known
from service.settings import Settings
from service.store import areas, counts, forecast_sets
from service.store.categories import OWN


def by_hour(conn: Connection, settings: Settings, known: Known, day: date, days: Days) -> tuple[np.ndarray, np.ndarray] | None:
    """Tickets of a running day until the end of each of its hours, as they stand now, and the share of the day's that is expected by then.

    Hours are those in which tickets were made; a ticket that is still on its way is missing until it comes, so that a late report is found late and
    nothing is found that is not there.

    Args:
        known: what is known of the finished days.
        days: the nodes, and what is usual on the day in the last column of `mean`.

    Returns:
        [M, 24] each; None where the day has no forecast with hours, or nothing has come.
    """
    before = forecast_sets.latest_before(conn, day)
    stored = forecast_sets.get(conn, before.id) if before is not None else None
    if stored is None or stored.hours is None:
        return None
    shares = unpack(stored.hours, intraday.COLUMNS)
    shares = shares[shares["date"] == pd.Timestamp(day)].set_index("category")[list(intraday.HOURS)]
    came = counts.hourly(conn, day, day)
    if shares.empty or came.empty:
        return None
    series = known.panel.series
    of_series = np.nan_to_num(shares.reindex(series["category"]).to_numpy(float)).cumsum(axis=1)
    line = pd.MultiIndex.from_frame(known.hierarchy.nodes[["area", "category"]]).get_indexer(pd.MultiIndex.from_tuples(list(days.nodes)))
    there = line >= 0
    expected = np.zeros(len(series))
    own = there & (line < len(series))
    expected[line[own]] = np.nan_to_num(days.mean[own, -1])
    total = known.hierarchy.total
    whole, by_then = total(expected[:, None])[:, 0], total(expected[:, None] * of_series)
    share = by_then / np.where(whole > 0, whole, 1.0)[:, None]
    tickets = total(_cells(conn, settings, known, came))
    at = np.maximum(line, 0)
    return np.where(there[:, None], tickets[at], np.nan).cumsum(axis=1), np.where(there[:, None], share[at], 0.0)


def _cells(conn: Connection, settings: Settings, known: Known, came: pd.DataFrame) -> np.ndarray:
    """[N, 24] tickets of the panel's series by the hours of the city's clock; what belongs to none of them is left out."""
    series = known.panel.series
    parents = areas.frame(conn).set_index("code")
    district = came["area"].astype(str).map(lambda code: parents["parent"].get(code, code) if parents["level"].get(code) == "street" else code)
    category = came["category"].astype(str)
    category = category.where(category.isin(set(series["category"])), category + OWN)
    line = pd.MultiIndex.from_frame(series).get_indexer(pd.MultiIndex.from_arrays([district, category]))
    hour = pd.to_datetime(came["hour"], utc=True).dt.tz_convert(settings.zone).dt.hour.to_numpy()
    out = np.zeros((len(series), 24))
    np.add.at(out, (line[line >= 0], hour[line >= 0]), came["count"].to_numpy(float)[line >= 0])
    return out
