"""Bringing a file in: recognise it, check all of it, then store it.

1. Read the header: which table it is (`columns`), in which encoding (`files`).
2. Read the rows batch by batch (`normalise`): wrong ones are listed with line and reason, those later than the clock are left out.
3. Tickets go to the staging table; other tables are small enough to be held.
4. Only when the file has been read to its end, it is applied. Until then nothing has changed, and a file that turns out to be damaged changes
   nothing.
"""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
from sqlalchemy import Engine
from sqlalchemy.exc import IntegrityError

from forecasting.errors import InputError
from service.clock import Clock
from service.intake import breaks, city_tables, files, normalise
from service.intake.ahead import ahead
from service.intake.columns import Layout, named_in
from service.intake.files import Batch, TableFile
from service.intake.mapping import Mapping
from service.intake.nodes import Nodes
from service.intake.privacy import Privacy, mask
from service.store import areas, categories, category_map, counts, drivers, excluded_spans, ingest_reports, ingests, tickets, waiting_ingests
from service.store.engine import reading, writing
from service.store.ingest_reports import LISTED_REJECTS, IngestReport, Reject
from service.store.ingests import Totals

BASELINE_ROWS = 200_000  # counts that one transaction writes: a second or two
STALE_AFTER = timedelta(hours=1)  # a file of fifteen million tickets takes a few minutes
BODY = "body"  # stands for a request where a file has its name
LEASE = timedelta(seconds=15)  # to apply a batch of a request takes a second or two; a process that died is replaced so much later

Progress = Callable[[int, int | None], None]


@dataclass(frozen=True)
class Report:
    """What a file brought.

    Attributes:
        kind: tickets, counts, drivers, areas or categories.
        name: the file's name without its folder.
        rows: rows of the file, those rejected and left out included.
        added, changed, unchanged: rows that were new, that changed what was stored, that did not.
        rejected, later: rows that are wrong; rows later than the clock, left out.
        left_out: rows that are no demand, or that a mapping leaves out.
        first_day, last_day: of the rows taken; None for areas and categories.
        new_areas, new_categories: codes met for the first time.
        rejects_path: the list of rejected rows, if there are any and it was wanted.
    """

    kind: str
    name: str
    ingest_id: int
    rows: int
    added: int
    changed: int
    unchanged: int
    rejected: int
    later: int
    left_out: int
    first_day: date | None
    last_day: date | None
    new_areas: tuple[str, ...]
    new_categories: tuple[str, ...]
    rejects_path: Path | None


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
    """
    file = files.open_table(path, mapping, privacy)
    with reading(engine) as conn:
        trees = _Trees(Nodes(areas.frame(conn)), Nodes(categories.frame(conn)))
    work = _Work(engine, file, clock, trees, file.layout.kind, progress, rejects_dir, privacy)
    bring = {"tickets": _tickets, "counts": _counts, "drivers": _drivers, "areas": _city_table, breaks.MAP: _category_map, breaks.SPANS: _spans}
    return bring[work.kind](work)


@dataclass(frozen=True)
class Request:
    """Tickets that came over HTTP and not as a file.

    Attributes:
        sha256: fingerprint of the body.
        batches: its rows; an InputError that they raise refuses all of it.
        by_index: rows are told by their place from 0 (a batch's `lines` less 1), and not by their line.
        sender: id of the API key.
        request_key: under which the sender may repeat it.
        districts: codes of the districts that the sender is limited to; None: the whole city.
        privacy: what is kept of people; None: nothing.
        mapping: which ticket types are no demand.
    """

    sha256: str
    batches: Iterator[Batch]
    by_index: bool
    sender: str
    request_key: str | None = None
    districts: frozenset[str] | None = None
    privacy: Privacy | None = None
    mapping: Mapping = field(default_factory=Mapping)


class NoneTaken(InputError):
    """No ticket of a request is right; `rejects` says why."""

    def __init__(self, rows: int, rejects: Sequence[Reject]) -> None:
        super().__init__(f"none of the {rows} tickets can be taken ({rejects[0].reason})", BODY, "correct them and send them again")
        self.rejects = tuple(rejects)


class SentTwice(Exception):
    """Another request of this sender has taken the request key while this one was read."""


def accept(engine: Engine, request: Request, clock: Clock) -> int:
    """Checks the tickets of a request and stages them; they wait for `apply_waiting` then, and are kept whatever happens to this process.

    A limited sender's tickets of other districts are rejected, and so are those that would take over a ticket stored for another district.

    Returns:
        The ingest's id.
    Raises:
        InputError: the body cannot be read, or has no ticket (`NoneTaken`: none that is right). Nothing is stored then.
        SentTwice: the request key was taken meanwhile. Nothing is stored then, either.
    """
    with reading(engine) as conn:
        trees = _Trees(Nodes(areas.frame(conn)), Nodes(categories.frame(conn)))
    file = TableFile(Path(BODY), request.sha256, Layout("tickets", {}), None, (), mapping=request.mapping)
    work = _Work(engine, file, clock, trees, "tickets", None, None, request.privacy, by_index=request.by_index)
    with work.opened() as ingest_id:
        _stage(work, ingest_id, request.batches, request.districts)
        if request.districts is not None:
            with writing(engine) as conn:
                work.refuse(tickets.drop_foreign(conn, ingest_id, trees.areas.inside(request.districts)), "ticket_id belongs to another district")
        if work.rows and work.rejected == work.rows:
            raise NoneTaken(work.rows, work.rejects)
        try:
            _accept(work, ingest_id, request)
        except IntegrityError:
            raise SentTwice from None
    return ingest_id


def apply_waiting(engine: Engine, clock: Clock, ingest_id: int) -> bool:
    """Applies a request that waits, or goes on with it; False if an earlier one still waits, or somebody else is at work on it."""

    def until() -> datetime:
        return datetime.now(UTC) + LEASE  # of processes, not of the city: it runs out although the city's clock may stand still

    with reading(engine) as conn:
        if waiting_ingests.first_free(conn, datetime.now(UTC)) != ingest_id:
            return False
    with writing(engine) as conn:
        if not waiting_ingests.take(conn, ingest_id, datetime.now(UTC), until()):
            return False

    def renew(_: int) -> None:
        with writing(engine) as conn:
            waiting_ingests.renew(conn, ingest_id, until())

    tickets.apply(engine, ingest_id, progress=renew)
    with writing(engine) as conn:
        ingests.finish(conn, ingest_id, clock.now())
        waiting_ingests.remove(conn, ingest_id)
    return True


def apply_all_waiting(engine: Engine, clock: Clock) -> int:
    """Applies the requests that wait, one after the other; returns how many."""
    applied = 0
    while True:
        with reading(engine) as conn:
            following = waiting_ingests.first_free(conn, datetime.now(UTC))
        if following is None or not apply_waiting(engine, clock, following):
            return applied
        applied += 1


@dataclass(frozen=True)
class _Trees:
    areas: Nodes
    categories: Nodes


@dataclass
class _Work:
    """An ingest under way: what it reads, and what it has counted so far."""

    engine: Engine
    file: TableFile
    clock: Clock
    trees: _Trees
    kind: str
    progress: Progress | None
    rejects_dir: Path | None
    privacy: Privacy | None = None
    rows: int = 0
    stored: int = 0
    rejected: int = 0
    later: int = 0
    left_out: int = 0
    first_day: pd.Timestamp | None = None
    last_day: pd.Timestamp | None = None
    by_index: bool = False
    first_reject: str = ""
    rejects: list[Reject] = field(default_factory=list)
    rejects_path: Path | None = None
    joined: tuple[list[str], list[str]] = field(default_factory=lambda: ([], []))

    @property
    def name(self) -> str:
        """The file's name without its folder, and without a number to call."""
        return mask(self.file.path.name)

    @contextmanager
    def opened(self, note: str | None = None) -> Iterator[int]:
        """The ingest's row in the ledger; closed as failed, with nothing staged, if the block raises."""
        with writing(self.engine) as conn:
            ingest_id = ingests.begin(conn, self.kind, self.name, self.clock.now(), self.file.sha256, note)
        error = "interrupted"
        done = False
        try:
            yield ingest_id
            done = True
        except InputError as problem:
            error = mask(str(problem))
            raise
        finally:
            if not done:
                tickets.discard(self.engine, ingest_id)
                with writing(self.engine) as conn:
                    ingests.finish(conn, ingest_id, self.clock.now(), ingests.FAILED, error)

    def count(self, batch: files.Batch, rows: normalise.Rows, ingest_id: int, day: str = "day") -> None:
        """Adds a batch to what is counted, and lists its rejects."""
        self.rows += len(batch.lines) + len(batch.broken) + batch.left_out
        self.rejected += len(rows.rejects)
        self.later += rows.later
        self.left_out += rows.left_out + batch.left_out
        if len(rows.kept):
            first, last = rows.kept[day].min(), rows.kept[day].max()
            self.first_day = first if self.first_day is None else min(self.first_day, first)
            self.last_day = last if self.last_day is None else max(self.last_day, last)
        if len(rows.rejects):
            if not self.first_reject:
                self.first_reject = f"line {rows.rejects['line'].iloc[0]}: {rows.rejects['reason'].iloc[0]}"
            self._list(rows.rejects, ingest_id)
            self._note(rows.rejects)
        self.tell()

    def refuse(self, rows: Sequence[tuple[int, str]], reason: str) -> None:
        """Counts rows (line and ticket_id) that were staged and had to be taken back."""
        self.rejected += len(rows)
        self._note(pd.DataFrame(rows, columns=["line", "ticket_id"]).assign(reason=reason))

    def tell(self) -> None:
        if self.progress:
            self.progress((self.rows + self.stored) // 2, self.file.total)

    def check(self) -> None:
        """Raises InputError if no row is right."""
        if self.rows == 0:
            raise InputError("has no rows", str(self.file.path))
        if self.rejected == self.rows:
            raise InputError(f"all {self.rows} rows are wrong ({self.first_reject})", str(self.file.path), "correct them and send the file again")

    def report(self, ingest_id: int, totals: Totals) -> Report:
        """Closes the ingest."""
        with writing(self.engine) as conn:
            ingests.finish(conn, ingest_id, self.clock.now())
            ingest_reports.put(conn, self.told(ingest_id))
            left_out = ingests.get(conn, ingest_id).left_out
        if self.progress:
            self.progress(self.rows, self.rows)
        return Report(
            kind=self.kind,
            name=self.name,
            ingest_id=ingest_id,
            rows=self.rows,
            added=totals.added,
            changed=totals.changed,
            unchanged=totals.unchanged,
            rejected=self.rejected,
            later=self.later,
            left_out=left_out,
            first_day=None if self.first_day is None else self.first_day.date(),
            last_day=None if self.last_day is None else self.last_day.date(),
            new_areas=tuple(self.joined[0]),
            new_categories=tuple(self.joined[1]),
            rejects_path=self.rejects_path,
        )

    def told(self, ingest_id: int, request: Request | None = None) -> IngestReport:
        """What is told of the ingest besides its numbers."""
        return IngestReport(
            ingest_id,
            None if self.first_day is None else self.first_day.date(),
            None if self.last_day is None else self.last_day.date(),
            tuple(self.joined[0]),
            tuple(self.joined[1]),
            tuple(self.rejects),
            request.sender if request else None,
            request.request_key if request else None,
        )

    def _note(self, rejects: pd.DataFrame) -> None:
        first = rejects.head(LISTED_REJECTS - len(self.rejects))
        for line, ticket_id, reason in zip(first["line"].tolist(), first["ticket_id"].tolist(), first["reason"].tolist(), strict=True):
            index = line - 1 if self.by_index else None
            self.rejects.append(Reject(index, None if self.by_index else line, ticket_id, named_in(reason), reason))

    def _list(self, rejects: pd.DataFrame, ingest_id: int) -> None:
        if self.rejects_dir is None:
            return
        new = self.rejects_path is None
        self.rejects_path = self.rejects_dir / f"rejects-{ingest_id}.csv"
        try:
            self.rejects_dir.mkdir(parents=True, exist_ok=True)
            with self.rejects_path.open("w" if new else "a", encoding="utf-8-sig" if new else "utf-8", newline="") as out:
                writer = csv.writer(out)
                if new:
                    writer.writerow(["line", "reason", "ticket_id"])
                writer.writerows((line, reason, _harmless(name)) for line, reason, name in rejects.itertuples(index=False))
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", str(self.rejects_path), "choose another folder") from None


def recover(engine: Engine, clock: Clock) -> list[int]:
    """Tidies up after processes that died: what was staged as a whole is applied, what was not is dropped. Returns the ingests concerned."""
    with reading(engine) as conn:  # what waits has its own way of going on
        stale = [one for one in ingests.unfinished(conn, clock.now() - STALE_AFTER) if not waiting_ingests.waits(conn, one.id)]
    for one in stale:
        whole = one.status == ingests.APPLYING and one.kind == "tickets"
        if whole:
            tickets.apply(engine, one.id)
        else:
            tickets.discard(engine, one.id)
        with writing(engine) as conn:
            ingests.finish(conn, one.id, clock.now(), ingests.DONE if whole else ingests.FAILED, None if whole else "its process died")
    return [one.id for one in stale]


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


def _tickets(work: _Work) -> Report:
    with work.opened() as ingest_id:
        _stage(work, ingest_id, files.batches(work.file))
        _accept(work, ingest_id)

    def applied(lines: int) -> None:
        work.stored += lines
        work.tell()

    return work.report(ingest_id, tickets.apply(work.engine, ingest_id, progress=applied))


def _stage(work: _Work, ingest_id: int, batches: Iterator[Batch], districts: frozenset[str] | None = None) -> None:
    def normalised(batch: Batch) -> tuple[Batch, normalise.Rows]:
        rows = normalise.tickets(batch, work.trees.areas, work.trees.categories, work.clock, districts, work.file.mapping, work.privacy)
        return batch, rows

    for batch, rows in ahead(map(normalised, batches)):
        with writing(work.engine, batch=True) as conn:
            tickets.stage(conn, ingest_id, rows.kept)
            if len(rows.no_demand):
                tickets.stage_no_demand(conn, ingest_id, rows.no_demand)
        work.count(batch, rows, ingest_id)


def _counts(work: _Work) -> Report:
    note = None if "hour" in work.file.layout.positions else counts.WHOLE_DAYS
    parts = []
    with work.opened(note) as ingest_id:
        for batch in files.batches(work.file):
            rows = normalise.counts(batch, work.trees.areas, work.trees.categories, work.clock, work.file.mapping)
            work.count(batch, rows, ingest_id)
            parts.append(rows.kept)
        cells = _summed(pd.concat(parts, ignore_index=True)) if parts else pd.DataFrame()
        parts.clear()
        _accept(work, ingest_id)
    totals = Totals()
    for part in _by_days(cells):
        named = part.assign(area=_names(part["area"], work.trees.areas), category=_names(part["category"], work.trees.categories))
        with writing(work.engine) as conn:
            done = counts.set_baseline(conn, ingest_id, named, work.clock.now())
            ingests.advance(conn, ingest_id, done)
        totals = Totals(totals.added + done.added, totals.changed + done.changed, totals.unchanged + done.unchanged)
        work.stored += len(part)
        work.tell()
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


def _drivers(work: _Work) -> Report:
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
            ingests.mark(conn, ingest_id, rows=work.rows, rejected=work.rejected, later=work.later, left_out=work.left_out)
            ingests.advance(conn, ingest_id, totals)
    return work.report(ingest_id, totals)


def _city_table(work: _Work) -> Report:
    nodes = city_tables.read(work.file)
    work.kind, work.rows = city_tables.kind(nodes, work.file), len(nodes)
    table, tree = (areas, work.trees.areas) if work.kind == "areas" else (categories, work.trees.categories)
    city_tables.check(nodes, tree, work.file)
    with work.opened() as ingest_id, writing(work.engine) as conn:
        totals = table.put(conn, nodes.drop(columns="line"), work.clock.now())
        ingests.mark(conn, ingest_id, rows=work.rows, rejected=0, later=0)
        ingests.advance(conn, ingest_id, totals)
    return work.report(ingest_id, totals)


def _category_map(work: _Work) -> Report:
    rows = breaks.read_map(work.file, work.trees.categories, work.clock.zone)
    work.rows = len(rows)
    with work.opened() as ingest_id, writing(work.engine) as conn:
        work.joined = ([], categories.join(conn, work.trees.categories.found, work.clock.now()))
        totals = category_map.put(conn, rows, ingest_id)
        ingests.mark(conn, ingest_id, rows=work.rows, rejected=0, later=0)
        ingests.advance(conn, ingest_id, totals)
    return work.report(ingest_id, totals)


def _spans(work: _Work) -> Report:
    rows = breaks.read_spans(work.file, work.trees.areas, work.trees.categories, work.clock.zone)
    work.rows = len(rows)
    with work.opened() as ingest_id, writing(work.engine) as conn:
        totals = excluded_spans.put(conn, rows, ingest_id)
        ingests.mark(conn, ingest_id, rows=work.rows, rejected=0, later=0)
        ingests.advance(conn, ingest_id, totals)
    return work.report(ingest_id, totals)


def _accept(work: _Work, ingest_id: int, request: Request | None = None) -> None:
    """The file or request is read to its end and right: its new areas and categories are stored, and it may be applied."""
    work.check()
    now = work.clock.now()
    with writing(work.engine) as conn:
        work.joined = (areas.join(conn, work.trees.areas.found, now), categories.join(conn, work.trees.categories.found, now))
        ingests.mark(conn, ingest_id, rows=work.rows, rejected=work.rejected, later=work.later, left_out=work.left_out)
        if request is not None:
            ingest_reports.put(conn, work.told(ingest_id, request))
            waiting_ingests.add(conn, ingest_id)
