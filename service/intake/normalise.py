"""Rows as a file writes them, made into rows as the store keeps them. Column by column, no loop over rows."""

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from service.clock import Clock
from service.intake.columns import LONGEST, SHORT, path_columns
from service.intake.files import Batch
from service.intake.mapping import Mapping
from service.intake.moments import DAY, UTC_MOMENT, days, moments, to_utc
from service.intake.nodes import ARROW, ROOT, UNKNOWN, Nodes, area_of, category_of, levels_of
from service.intake.privacy import CALLER_NAME, TEXTS, Privacy, mask, masked, masked_texts
from service.intake.texts import coded, numbers, texts

EARLIEST = pd.Timestamp("1990-01-01", tz="UTC")  # an earlier date is a slip of the pen, and would lengthen every series by decades
DEFAULT_SOURCE = "hotline"
# Where a column named `source` says how a citizen came, and not which system numbers the tickets. Nothing is listed that may be a system's name.
CHANNELS = frozenset(
    {
        *("电话", "来电", "语音", "微信", "微博", "网站", "短信", "邮件", "电子邮件", "来信", "信件", "来访", "传真"),
        *("phone", "phone call", "telephone", "call", "sms", "email", "e-mail", "mail", "letter", "fax", "walk-in", "walk in", "twitter", "facebook"),
        *("constituent call", "self service", "citizens connect app", "city worker app", "employee generated", "maximo integration"),  # Boston 311
    }
)
MAX_COUNT = 1_000_000  # tickets of one category in one area in one day
NOWHERE = re.compile(r"(?i).*\bunspecified\b.*|unknown|n/?a|null|none|nan|-+|/|未知|不详")  # what is written where no area is known
ROUNDED = r"^[0-9](\.[0-9]+)?[eE]\+?[0-9]+$"  # how a spreadsheet shows a long number: its last digits are lost, and many tickets become one


@dataclass(frozen=True)
class Rows:
    """What became of a batch.

    Attributes:
        kept: rows in the columns of the store.
        rejects: `line, reason, ticket_id` of the rows that are no tickets (counts, values).
        later: rows of a time that the clock has not reached.
        left_out: rows that are no demand.
        no_demand: those of them that name a ticket: `line, source, ticket_id, received_at, updated_at`.
    """

    kept: pd.DataFrame
    rejects: pd.DataFrame
    later: int
    left_out: int = 0
    no_demand: pd.DataFrame = field(default_factory=pd.DataFrame)


def tickets(
    batch: Batch,
    areas: Nodes,
    categories: Nodes,
    clock: Clock,
    districts: frozenset[str] | None = None,
    mapping: Mapping | None = None,
    privacy: Privacy | None = None,
) -> Rows:
    """Tickets for `service.store.tickets.stage`, without anything personal but what `privacy` lets pass.

    A row of a type that is no demand is left out. One without an id, a category or a readable moment of creation is rejected, and one that
    lies outside of `districts`, if they are given. One without `received_at` was received when it was created. What happened to a ticket
    after the clock's now is not known yet.
    """
    mapping, privacy = mapping or Mapping(), privacy or Privacy()
    batch, others = _demand(batch, mapping.not_demand)
    given, size, now, form = batch.columns, len(batch.lines), pd.Timestamp(clock.now()), mapping.time_format
    ids, rounded = _ids(given["ticket_id"])
    created = moments(given["created_at"], clock.zone, form)
    named = _category_columns(given, size)
    reasons = (
        (ids.isna(), "no ticket_id"),
        (rounded, "ticket_id was rounded by a spreadsheet: its column has to be text there"),
        *_too_long(given),
        (created.isna(), "created_at is no moment"),
        (created < EARLIEST, f"created_at lies before {EARLIEST.year}"),
        (~_is_category(named[0]), "no category"),
        (_outside(given, size, areas, districts), "district lies outside of those that the sender is limited to"),
    )
    wrong, rejects = _rejects(batch, reasons, ids)

    received = moments(given["received_at"], clock.zone, form).fillna(created) if "received_at" in given else created
    received = received.mask(received < created, created)
    is_later = (received > now) & ~wrong
    keep = ~(wrong | is_later.to_numpy(dtype=bool))
    local = created[keep].dt.tz_convert(clock.zone).dt.tz_localize(None)
    day = local.dt.normalize()
    kept = pd.DataFrame(
        {
            "line": batch.lines[keep],
            "source": _source(given, size)[keep],
            "ticket_id": ids[keep],
            "area": _coded(_areas(given, keep, areas), areas, ids.index[keep]),
            "category": _coded(_categories(named, keep, categories, path="category" not in given), categories, ids.index[keep]),
            "created_at": created[keep],
            "day": day.astype(DAY),
            "hour": created[keep] - (local - local.dt.floor("h")),
            "received_at": received[keep],
        }
    )
    for name in ("updated_at", "closed_at"):
        if name in given:
            moment = moments(given[name], clock.zone, form)
            kept[name] = moment.mask(moment > now)[keep]
    if "status" in given:
        kept["status"] = masked(coded(given["status"]))[keep]
    for name in ("lat", "lon"):
        if name in given:
            kept[name] = numbers(given[name])[keep]
    for name in TEXTS:
        if name in given and name not in privacy.unread:
            kept[name] = masked_texts(given[name], given.get(CALLER_NAME))[keep]
    if "caller" in given and "caller" not in privacy.unread:
        kept["caller"] = privacy.callers(given["caller"])[keep]
    return Rows(kept, rejects, int(is_later.sum()), len(others.lines), _no_demand(others, clock, form))


def counts(batch: Batch, areas: Nodes, categories: Nodes, clock: Clock, mapping: Mapping | None = None) -> Rows:
    """Counts for `service.store.counts.set_baseline`, with areas and categories as positions in `codes` of the trees.

    A row without a category, a readable date or a whole number is rejected; so is a whole day that is not over, as later.
    """
    given, size, now = batch.columns, len(batch.lines), pd.Timestamp(clock.now())
    day = days(given["date"], clock.zone, mapping.time_format if mapping else "")
    count = numbers(given["count"])
    hour = numbers(given["hour"]) if "hour" in given else pd.Series(0.0, index=count.index)
    named = _category_columns(given, size)
    reasons = (
        (day.isna(), "date is no date"),
        (day.dt.tz_localize("UTC") < EARLIEST, f"date lies before {EARLIEST.year}"),
        (~_is_category(named[0]), "no category"),
        *_too_long(given),
        (~(count.ge(0) & count.le(MAX_COUNT) & count.eq(count.round())), f"count is no whole number from 0 to {MAX_COUNT}"),
        (~(hour.ge(0) & hour.le(23) & hour.eq(hour.round())), "hour is no whole number from 0 to 23"),
    )
    wrong, rejects = _rejects(batch, reasons, None)
    begin = to_utc((day + pd.to_timedelta(hour.where(~wrong, 0), unit="h")).astype(DAY), clock.zone)
    known = begin + pd.Timedelta(hours=1) if "hour" in given else to_utc((day + pd.Timedelta(days=1)).astype(DAY), clock.zone)
    is_later = (known > now) & ~wrong
    keep = ~(wrong | is_later.to_numpy(dtype=bool))
    kept = pd.DataFrame(
        {
            "area": _areas(given, keep, areas).astype(np.int32),
            "category": _categories(named, keep, categories, path="category" not in given).astype(np.int32),
            "day": day[keep],
            "hour": begin[keep].astype(UTC_MOMENT),
            "count": count[keep].astype("int64"),
            "received_at": known[keep].astype(UTC_MOMENT),
        }
    )
    return Rows(kept, rejects, int(is_later.sum()))


def drivers(batch: Batch, areas: Nodes, clock: Clock, mapping: Mapping | None = None, districts: frozenset[str] | None = None) -> Rows:
    """Values for `service.store.drivers.put`. An observation is known from the end of its day; a forecast names the moment of its issue.

    Rows of other districts than `districts`, if they are given, are rejected, and with them those of the whole city.

    A district has to be one already: a driver adds none. Only while no district is known at all, because the weather is loaded first, is it
    taken as it is named; whose it is `service.jobs.knowledge` finds when it is read.
    """
    given, now, form = batch.columns, pd.Timestamp(clock.now()), mapping.time_format if mapping else ""
    name = pd.Series(texts(given["name"]).to_pandas(), dtype="str")
    day, value = days(given["date"], clock.zone, form), numbers(given["value"])
    issued_text = texts(given["issued_at"]) if "issued_at" in given else None
    issued = moments(given["issued_at"], clock.zone, form) if "issued_at" in given else pd.Series(pd.NaT, index=name.index, dtype=UTC_MOMENT)
    district = _labels(given, "district", len(batch.lines))
    codes = [ROOT if label == ROOT else areas.known(label) for label in district.cat.categories]
    if set(areas.parents) <= {UNKNOWN}:
        codes = list(district.cat.categories)
    else:
        codes = [code if code == ROOT or areas.parents.get(code or "") == ROOT else None for code in codes]
    places = np.array([*codes, ROOT], dtype=object)
    area = pd.Series(places[district.cat.codes.to_numpy()], dtype="str")
    observed = issued.isna()
    unreadable = observed & pd.Series(issued_text.is_valid().to_numpy(zero_copy_only=False)) if issued_text is not None else observed & False
    reasons = (
        (name.isna(), "no name"),
        (~name.fillna("").map(str.isprintable).astype(bool), "name cannot be printed"),
        (day.isna(), "date is no date"),
        (~np.isfinite(value), "value is no number"),
        (unreadable, "issued_at is no moment"),
        (area.isna(), "district is not known: load areas or tickets first"),
        (area.isna() if districts is None else ~area.isin(list(districts)), "district lies outside of those that the sender is limited to"),
        *_too_long(given),
    )
    wrong, rejects = _rejects(batch, reasons, None)
    known = issued.where(~observed, to_utc((day + pd.Timedelta(days=1)).astype(DAY), clock.zone))
    is_later = (known > now) & ~wrong
    keep = ~(wrong | is_later.to_numpy(dtype=bool))
    kept = pd.DataFrame({"name": name, "date": day, "value": value, "issued_at": known, "observed": observed, "district": area})
    return Rows(kept[keep], rejects, int(is_later.sum()))


def _rejects(batch: Batch, reasons: tuple[tuple[pd.Series, str], ...], ids: pd.Series | None) -> tuple[np.ndarray, pd.DataFrame]:
    """Which rows are rejected [rows], and the table of them: a row's first reason counts."""
    wrong = np.zeros(len(batch.lines), bool)
    reason = np.full(len(batch.lines), "", dtype=object)
    for holds, text in reasons:
        new = holds.to_numpy(dtype=bool) & ~wrong
        reason[new] = text
        wrong |= new
    named = ids[wrong].fillna("").map(mask).astype("str") if ids is not None else pd.Series("", index=range(int(wrong.sum())), dtype="str")
    rows = pd.DataFrame({"line": batch.lines[wrong], "reason": reason[wrong], "ticket_id": named.to_numpy(dtype=object)})
    broken = pd.DataFrame(batch.broken, columns=["line", "reason"]).assign(ticket_id="")
    parts = [part for part in (rows, broken) if len(part)]
    return wrong, pd.concat(parts).sort_values("line") if parts else rows


def _too_long(given: dict[str, Any]) -> list[tuple[pd.Series, str]]:
    """Which rows have a name or code that no index takes [rows], and what to say of them. The levels of a category become one code."""
    path = path_columns(given)
    found = []
    for names in (*((name,) for name in given if name in SHORT and name not in path), path):
        columns = [column for name in names if _is_text(_values(column := given[name]).type)]
        if sum(pc.max(pc.binary_length(_values(column))).as_py() or 0 for column in columns) > LONGEST:
            length = sum(pc.fill_null(pc.utf8_length(column.cast(pa.string())), 0).to_numpy() for column in columns)
            found.append((pd.Series(length > LONGEST), f"{names[0]} is longer than {LONGEST} characters"))
    return found


def _is_text(kind: Any) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _values(column: Any) -> Any:
    return column.dictionary if pa.types.is_dictionary(column.type) else column


# Only rows that are kept name nodes: what comes later, or is wrong, adds none to the trees.


def _areas(given: dict[str, Any], keep: np.ndarray, tree: Nodes) -> np.ndarray:
    columns = [_labels(given, name, len(keep), NOWHERE) for name in ("district", "street")]
    return tree.places([column[keep] for column in columns], lambda district, street: area_of(tree, district, street))


def _outside(given: dict[str, Any], size: int, tree: Nodes, districts: frozenset[str] | None) -> pd.Series:
    """Which rows name an area that is in none of these districts [rows]."""
    if districts is None:
        return pd.Series(np.zeros(size, bool))

    def inside(district: str | None, street: str | None) -> str | None:
        found = tree.district_of(district) if district not in (None, ROOT) else tree.district_of(street)
        return found if found in districts else None

    columns = [_labels(given, name, size, NOWHERE) for name in ("district", "street")]
    return pd.Series(tree.places(columns, inside) < 0)


def _category_columns(given: dict[str, Any], size: int) -> list[pd.Series]:
    """The category and its first level, or the levels one by one."""
    if "category" not in given:
        return [_labels(given, name, size) for name in path_columns(given)]
    return [_labels(given, "category", size), _labels(given, "category_l1" if "category_l1" in given else "path_1", size)]


def _is_category(column: pd.Series) -> pd.Series:
    names = [bool(levels_of(name)) for name in column.cat.categories]
    return pd.Series(np.array([*names, False])[column.cat.codes.to_numpy()])


def _categories(columns: list[pd.Series], keep: np.ndarray, tree: Nodes, path: bool) -> np.ndarray:
    def resolve(*levels: str | None) -> str | None:
        return category_of(tree, ARROW.join(level for level in levels if level)) if path else category_of(tree, *levels)

    return tree.places([column[keep] for column in columns], resolve)


def _coded(places: np.ndarray, tree: Nodes, index: pd.Index) -> pd.Series:
    return pd.Series(pd.Categorical.from_codes(places.astype(np.int64), pd.Index(tree.codes, dtype="str")), index=index)


def _labels(given: dict[str, Any], name: str, size: int, nothing: re.Pattern[str] | None = None) -> pd.Series:
    """A column of codes or labels as a masked categorical; missing where there is none, or one that says so."""
    if name not in given:
        return pd.Series(pd.Categorical.from_codes(np.full(size, -1), pd.Index([], dtype="str")))
    column = masked(coded(given[name]))
    empty = [label for label in column.cat.categories if nothing and nothing.fullmatch(label)]
    return column.cat.remove_categories(empty) if empty else column


def _demand(batch: Batch, not_demand: tuple[str, ...]) -> tuple[Batch, Batch]:
    """The rows whose type is that of a demand, and the others."""
    if "ticket_type" not in batch.columns or not not_demand:
        return batch, Batch(batch.lines[:0], {}, [])
    others = pc.is_in(pc.utf8_lower(texts(batch.columns["ticket_type"])), pa.array(not_demand, pa.string()))
    is_other = others.to_numpy(zero_copy_only=False).astype(bool)
    rest = _chosen(batch, ~is_other)
    return Batch(rest.lines, rest.columns, batch.broken, batch.left_out), _chosen(batch, is_other)


def _chosen(batch: Batch, keep: np.ndarray) -> Batch:
    return Batch(batch.lines[keep], {name: column.filter(pa.array(keep)) for name, column in batch.columns.items()}, [])


def _no_demand(batch: Batch, clock: Clock, form: str) -> pd.DataFrame:
    """Which tickets the rows name that are no demand, and since when. A time that the clock has not reached is not known yet."""
    if not len(batch.lines):
        return pd.DataFrame()
    given, now = batch.columns, pd.Timestamp(clock.now())
    ids, rounded = _ids(given["ticket_id"])
    moment = {name: moments(given[name], clock.zone, form) for name in ("created_at", "received_at", "updated_at") if name in given}
    received = moment.get("received_at", moment["created_at"]).fillna(moment["created_at"]).fillna(now)
    keep = ~(ids.isna() | rounded | (received > now)).to_numpy(dtype=bool)
    rows = pd.DataFrame({"line": batch.lines, "source": _source(given, len(keep)), "ticket_id": ids, "received_at": received})
    if "updated_at" in moment:
        rows["updated_at"] = moment["updated_at"].mask(moment["updated_at"] > now)
    return rows[keep]


def _ids(column: Any) -> tuple[pd.Series, pd.Series]:
    """Ticket ids without the signs that keep a spreadsheet from rounding them, and whether it has rounded them nevertheless."""
    ids = pc.replace_substring_regex(texts(column), pattern=r"""^(?:'|=")([^"]*)"?$""", replacement=r"\1")
    rounded = pc.fill_null(pc.match_substring_regex(ids, ROUNDED), False)
    return pd.Series(ids.to_pandas(), dtype="str"), pd.Series(rounded.to_numpy(zero_copy_only=False).astype(bool))


def _source(given: dict[str, Any], size: int) -> pd.Series:
    if "source" not in given:
        return pd.Series(pd.Categorical.from_codes(np.zeros(size, np.int64), pd.Index([DEFAULT_SOURCE], dtype="str")))
    source = masked(coded(given["source"]))
    names = [DEFAULT_SOURCE if name.lower() in CHANNELS else name for name in source.cat.categories]
    systems = sorted({*names, DEFAULT_SOURCE})
    places = np.array([systems.index(name) for name in (*names, DEFAULT_SOURCE)])  # code -1, a blank cell, finds the last
    return pd.Series(pd.Categorical.from_codes(places[source.cat.codes.to_numpy()], pd.Index(systems, dtype="str")))
