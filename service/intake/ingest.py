"""Bringing a file in: recognise it, check all of it, then store it.

1. Read the header: which table it is (`columns`), in which encoding (`files`).
2. Read the rows batch by batch (`normalise`): wrong ones are listed with line and reason, those later than the clock are left out.
3. Tickets go to the staging table; other tables are small enough to be held.
4. Only when the file has been read to its end, it is applied. Until then nothing has changed, and a file that turns out to be damaged changes
   nothing.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Engine

from service.clock import Clock
from service.intake import breaks, city_tables, files, normalise, requests
from service.intake.mapping import Mapping
from service.intake.nodes import Nodes
from service.intake.privacy import Privacy
from service.intake.work import Progress, Report, Trees, Work, accept, stage
from service.store import areas, categories, category_map, counts, drivers, excluded_spans, ingests, tickets, waiting_ingests
from service.store.engine import reading, writing
from service.store.ingests import Totals
from service.store.waiting_ingests import Waiting

BASELINE_ROWS = 200_000  # counts that one transaction writes: a second or two
STALE_AFTER = timedelta(hours=1)  # for ingests that no lease tells of, those of earlier versions; fifteen million tickets take a few minutes


def ingest(
    engine: Engine,
    path: Path,
    clock: Clock,
    progress: Progress | None = None,
    rejects_dir: Path | None = None,
    mapping: Mapping | None = None,
    privacy: Privacy | None = None,
) -> Report:
    """Brings in a file of tickets, counts, drivers, areas or categories; which of them it is, its columns tell.

    A file can be brought in again at any time: what is stored already counts as unchanged.

    Args:
        progress: called with rows done and rows in all (None while unknown); reading and storing are half a row each.
        rejects_dir: folder for `rejects-<ingest id>.csv` (line, reason, ticket_id); None: they are only counted.
        mapping: how to read the file where its headers alone do not say it.
        privacy: what is kept of people; None: nothing.
    Raises:
        InputError: the file cannot be read, is no known table, or has no row that is right. Nothing is stored then.
        TakenOver: this process stood still and `recover` has taken the ingest for dead.
    """
    file = files.open_table(path, mapping, privacy)
    work = Work(engine, file, clock, Trees.stored(engine), file.layout.kind, progress, rejects_dir, privacy)
    bring = {"tickets": _tickets, "counts": _counts, "drivers": _drivers, "areas": _city_table, breaks.MAP: _category_map, breaks.SPANS: _spans}
    return bring[work.kind](work)


def recover(engine: Engine, clock: Clock) -> list[int]:
    """Tidies up after processes that died, whose leases are over: what was staged as a whole joins the queue of what waits and is applied, what was
    not is dropped.

    Returns the ingests concerned.
    """

    def dead(conn: Connection) -> list[ingests.Ingest]:  # what waits has its own way of going on
        found = ingests.abandoned(conn, datetime.now(UTC), clock.now() - STALE_AFTER)
        return [one for one in found if not waiting_ingests.waits(conn, one.id)]

    with reading(engine) as conn:
        if not dead(conn):
            return []
    with writing(engine) as conn:
        taken = dead(conn)  # some may have gone on meanwhile; from now on none of them can
        whole = {one.id for one in taken if one.status == ingests.APPLYING and one.kind == "tickets"}
        for one in taken:
            ingests.take(conn, one.id)
            if one.id in whole:
                waiting_ingests.add(conn, Waiting(one.id, districts=None, by_index=False))
    for one in taken:
        if one.id not in whole:
            tickets.discard(engine, one.id)
            with writing(engine) as conn:
                ingests.finish(conn, one.id, clock.now(), ingests.FAILED, "its process died")
    requests.apply_all_waiting(engine, clock)
    return [one.id for one in taken]


def _tickets(work: Work) -> Report:
    with work.opened() as ingest_id:
        stage(work, ingest_id, files.batches(work.file))
        work.check()
        accept(work, ingest_id)

    def applied(lines: int) -> None:
        work.stored += lines
        work.tell()

    with work.held(ingest_id):
        totals = tickets.apply(work.engine, ingest_id, progress=applied, hold=lambda conn: work.hold(conn, ingest_id))
        with writing(work.engine) as conn:
            work.close(conn, ingest_id)
    return work.report(ingest_id, totals)


def _counts(work: Work) -> Report:
    note = None if "hour" in work.file.layout.positions else counts.WHOLE_DAYS
    parts = []
    with work.opened(note) as ingest_id:
        for batch in files.batches(work.file):
            rows = normalise.counts(batch, work.trees.areas, work.trees.categories, work.clock, work.file.mapping)
            work.count(batch, rows, ingest_id)
            parts.append(rows.kept)
        cells = _summed(pd.concat(parts, ignore_index=True)) if parts else pd.DataFrame()
        parts.clear()
        work.check()
        accept(work, ingest_id)
    totals = Totals()
    with work.held(ingest_id):
        for part in _by_days(cells):
            named = part.assign(area=_names(part["area"], work.trees.areas), category=_names(part["category"], work.trees.categories))
            with writing(work.engine) as conn:
                done = counts.set_baseline(conn, ingest_id, named, work.clock.now())
                ingests.advance(conn, ingest_id, done)
                work.hold(conn, ingest_id)
            totals = Totals(totals.added + done.added, totals.changed + done.changed, totals.unchanged + done.unchanged)
            work.stored += len(part)
            work.tell()
        with writing(work.engine) as conn:
            work.close(conn, ingest_id)
    return work.report(ingest_id, totals)


def _summed(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells sorted by hour; those named twice (streets that are no areas, the hour that comes twice) added up, as a count panel does."""
    keys = [cells[name].astype("int64").to_numpy() for name in ("category", "area", "hour")]
    order = np.lexsort(keys)
    new = np.ones(len(order), bool)
    new[1:] = np.logical_or.reduce([key[order[1:]] != key[order[:-1]] for key in keys])
    starts = np.flatnonzero(new)
    if len(starts) == 0:
        return cells
    return cells.iloc[order[starts]].assign(count=np.add.reduceat(cells["count"].to_numpy()[order], starts)).reset_index(drop=True)


def _by_days(cells: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Cells sorted by day, in parts of whole days."""
    if cells.empty:
        return
    starts = np.flatnonzero(cells["day"].ne(cells["day"].shift()).to_numpy())
    begin = 0
    for end in [*starts[1:].tolist(), len(cells)]:
        if end - begin >= BASELINE_ROWS or end == len(cells):
            yield cells.iloc[begin:end].reset_index(drop=True)
            begin = end


def _names(places: pd.Series, tree: Nodes) -> np.ndarray:
    names: np.ndarray = np.array(tree.codes, dtype=object)[places.to_numpy()]
    return names


def _drivers(work: Work) -> Report:
    parts = []
    with work.opened() as ingest_id:
        for batch in files.batches(work.file):
            rows = normalise.drivers(batch, work.trees.areas, work.clock, work.file.mapping)
            work.count(batch, rows, ingest_id, day="date")
            parts.append(rows.kept)
        work.check()
        values = pd.concat(parts, ignore_index=True)
        with writing(work.engine) as conn:
            totals = drivers.put(conn, values, ingest_id)
            _stored(work, conn, ingest_id, totals)
    return work.report(ingest_id, totals)


def _stored(work: Work, conn: Connection, ingest_id: int, totals: Totals) -> None:
    """Closes an ingest in the transaction that stores all of it."""
    ingests.mark(conn, ingest_id, rows=work.rows, rejected=work.rejected, later=work.later, left_out=work.left_out)
    ingests.advance(conn, ingest_id, totals)
    work.close(conn, ingest_id)


def _city_table(work: Work) -> Report:
    nodes = city_tables.read(work.file)
    work.kind, work.rows = city_tables.kind(nodes, work.file), len(nodes)
    table, tree = (areas, work.trees.areas) if work.kind == "areas" else (categories, work.trees.categories)
    city_tables.check(nodes, tree, work.file)
    with work.opened() as ingest_id, writing(work.engine) as conn:
        totals = table.put(conn, nodes.drop(columns="line"), work.clock.now())
        _stored(work, conn, ingest_id, totals)
    return work.report(ingest_id, totals)


def _category_map(work: Work) -> Report:
    rows = breaks.read_map(work.file, work.trees.categories, work.clock.zone)
    work.rows = len(rows)
    with work.opened() as ingest_id, writing(work.engine) as conn:
        work.joined = ([], categories.join(conn, work.trees.categories.found, work.clock.now()))
        totals = category_map.put(conn, rows, ingest_id)
        _stored(work, conn, ingest_id, totals)
    return work.report(ingest_id, totals)


def _spans(work: Work) -> Report:
    rows = breaks.read_spans(work.file, work.trees.areas, work.trees.categories, work.clock.zone)
    work.rows = len(rows)
    with work.opened() as ingest_id, writing(work.engine) as conn:
        totals = excluded_spans.put(conn, rows, ingest_id)
        _stored(work, conn, ingest_id, totals)
    return work.report(ingest_id, totals)
