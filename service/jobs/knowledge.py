"""What the store knows by the end of a day, as the library takes it."""

import logging
from datetime import date

import pandas as pd
from sqlalchemy import Connection

from forecasting import drivers as driver_tables
from forecasting import excluded, intraday, panel
from forecasting.detection.explain import Labels
from forecasting.errors import InputError
from forecasting.hierarchy import ALL, Tree
from forecasting.intraday import Profiles
from forecasting.models.base import Known
from service.clock import Clock
from service.intake.nodes import Nodes
from service.settings import Settings
from service.store import areas, categories, category_map, counts, delays, drivers, excluded_spans
from service.store.categories import OWN

log = logging.getLogger(__name__)


def complete_until(conn: Connection, clock: Clock) -> date:
    """The last finished day with data of which enough has arrived; see `delays.complete_until`.

    Raises:
        InputError: the store holds no count of a finished day.
    """
    until = delays.complete_until(conn, clock)
    if until is None:
        raise InputError("the store holds no tickets of a finished day", "store", "load some with `weisu ingest FILE`")
    return until


def known(conn: Connection, settings: Settings, until: date, as_filed: bool = False, newest_change: int | None = None) -> Known:
    """Counts, drivers and trees as they stand, up to the end of a day: history in the codes of today, excluded spans missing.

    Drivers that were loaded before any district was known have it as it was named, by code or label. Those of what is no district (any
    more) are left out, and the log says so.

    Args:
        as_filed: leave every count under the code that it was filed under.
        newest_change: as `counts.by_district` takes it.

    Raises:
        InputError: there is no count by then.
    """
    table = counts.by_district(conn, until, newest_change)
    if table.empty:
        raise InputError(f"no count by {until}", "store", "load tickets with `weisu ingest FILE`")
    nodes = categories.frame(conn)
    tree = Tree(dict(zip(nodes["code"], nodes["parent"], strict=True)))
    if not as_filed:
        table = category_map.read(conn).known_by(until).carry(table)
    inner = {above for code in table["category"].unique() for above in tree.path(code)[1:]} & set(table["category"])
    if inner:
        table["category"] = table["category"].where(~table["category"].isin(list(inner)), table["category"] + OWN)
        tree = Tree({**tree.parents, **{code + OWN: code for code in inner}})
    places = Tree.flat(areas.districts(conn)["code"])
    weather = _placed(drivers.frame(conn), Nodes(areas.frame(conn)))
    foreign = weather["district"].notna() & ~weather["district"].isin(list(places.parents))
    if foreign.any():
        log.warning("drivers.left_out", extra={"areas": sorted(weather.loc[foreign, "district"].unique()), "rows": int(foreign.sum())})
        weather = weather[~foreign].reset_index(drop=True)
    if not weather.empty:
        issued = pd.to_datetime(weather["issued_at"])
        weather["issued_at"] = issued.dt.tz_convert(settings.zone).dt.tz_localize(None) if issued.dt.tz is not None else issued
    return Known(
        excluded.without(panel.from_counts(table, until), excluded_spans.frame(conn), places, tree),
        places,
        tree,
        driver_tables.from_frame(weather).until(until) if not weather.empty else None,
        settings.country,
    )


def _placed(weather: pd.DataFrame, tree: Nodes) -> pd.DataFrame:
    """Driver rows with the code of each district that a row has by its label; where both name a day, what was given by code is last and counts."""
    names = weather["district"].dropna().unique()
    codes = {name: code for name in names if (code := tree.known(name)) is not None and code != name}
    if not codes:
        return weather
    by_label = weather["district"].isin(list(codes))
    named = weather[by_label].assign(district=weather["district"].map(codes))
    return pd.concat([named, weather[~by_label]], ignore_index=True)


def profiles(conn: Connection, settings: Settings, known: Known) -> Profiles | None:
    """How the tickets of a day fall over its hours, learnt from the last months that are known; None: too few tickets tell their hour."""
    days = known.panel.days[-intraday.DAYS :]
    table = counts.hours(conn, days[0].date(), days[-1].date())
    table["hour"] = table["hour"].dt.tz_convert(settings.zone).dt.hour
    table = category_map.read(conn).known_by(known.cutoff).carry(table)
    leaves = sorted(set(known.panel.series["category"]))
    own = table["category"] + OWN
    table["category"] = own.where(own.isin(leaves), table["category"])
    spans = excluded_spans.frame(conn)
    if not spans.empty:
        whole_city = excluded.marks(spans, [{ALL}], [{ALL}], days)[0, 0]
        days = days[~whole_city]
    return intraday.learn(table, known.calendar(0)["working"].loc[days], leaves, known.categories)


def labels(conn: Connection) -> Labels:
    """Names of areas and categories for sentences."""
    zh: dict[tuple[str, str], str] = {}
    en: dict[tuple[str, str], str] = {}
    for kind, frame in (("area", areas.frame(conn)), ("category", categories.frame(conn))):
        keys = [(kind, str(code)) for code in frame["code"]]
        zh |= dict(zip(keys, frame["zh"].astype(str), strict=True))
        en |= dict(zip(keys, frame["en"].astype(str), strict=True))
        if kind == "category":
            zh |= {(kind, str(code) + OWN): f"{label}(未细分)" for code, label in zip(frame["code"], frame["zh"], strict=True)}
            en |= {(kind, str(code) + OWN): f"{label} (no detail)" for code, label in zip(frame["code"], frame["en"], strict=True)}
    return Labels(zh, en)


def safety(conn: Connection) -> frozenset[str]:
    """Codes of the categories of safety."""
    frame = categories.frame(conn)
    return frozenset(frame.loc[frame["safety"].astype(bool), "code"])
