"""An ingest under way, whatever it brings and wherever it comes from: what it has counted so far, its rejects, its row in the ledger."""

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd
from sqlalchemy import Connection, Engine

from forecasting.errors import InputError
from service.clock import Clock
from service.intake import normalise
from service.intake.ahead import ahead
from service.intake.columns import named_in
from service.intake.files import Batch, TableFile
from service.intake.nodes import Nodes
from service.intake.privacy import Privacy, mask
from service.store import areas, categories, ingest_reports, ingests, leases, tickets
from service.store.engine import reading, writing
from service.store.ingest_reports import LISTED_REJECTS, IngestReport, Reject
from service.store.ingests import Totals

Progress = Callable[[int, int | None], None]

LEASE = timedelta(minutes=2)  # a process that died is known for dead so much later; one that lives renews it four times as often


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


class TakenOver(InputError):
    """This process stood still for longer than its lease and was taken for dead: the ingest is not its own any more."""

    def __init__(self, ingest_id: int, name: str) -> None:
        what = f"ingest {ingest_id} was taken from this process, which had stood still for {LEASE.seconds // 60} minutes or longer"
        super().__init__(what, name, "load it again: nothing is counted twice")


@dataclass(frozen=True)
class Trees:
    """The city's trees, which grow while rows are read."""

    areas: Nodes
    categories: Nodes

    @classmethod
    def stored(cls, engine: Engine) -> "Trees":
        """As the store has them."""
        with reading(engine) as conn:
            return cls(Nodes(areas.frame(conn)), Nodes(categories.frame(conn)))


@dataclass
class Work:
    """An ingest under way: what it reads, and what it has counted so far."""

    engine: Engine
    file: TableFile
    clock: Clock
    trees: Trees
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
        """The ingest's row in the ledger, held as long as the block lasts; closed as failed, with nothing staged, if the block raises."""
        with writing(self.engine) as conn:
            ingest_id = ingests.begin(conn, self.kind, self.name, self.clock.now(), self.file.sha256, note, _until())
        error = "interrupted"
        done = False
        with self.held(ingest_id):
            try:
                yield ingest_id
                done = True
            except InputError as problem:
                error = mask(str(problem))
                raise
            finally:
                if not done:
                    self._fail(ingest_id, error)

    def held(self, ingest_id: int) -> AbstractContextManager[None]:
        """Renews the ingest's lease as long as the block lasts."""
        return leases.held(self.engine, lambda conn: ingests.renew(conn, ingest_id, _until()), LEASE.total_seconds() / 4, {"ingest": ingest_id})

    def hold(self, conn: Connection, ingest_id: int) -> None:
        """Renews the ingest's lease at the end of a transaction, which may have lasted longer than that. Raises TakenOver if it is lost."""
        if not ingests.renew(conn, ingest_id, _until()):
            raise TakenOver(ingest_id, self.name)

    def close(self, conn: Connection, ingest_id: int) -> None:
        """Closes the ingest as done. Raises TakenOver if it is not this process's any more."""
        self.hold(conn, ingest_id)
        ingests.finish(conn, ingest_id, self.clock.now())
        ingest_reports.put(conn, self.told(ingest_id))

    def _fail(self, ingest_id: int, error: str) -> None:
        with writing(self.engine) as conn:
            held = ingests.renew(conn, ingest_id, _until())
        if held:  # else what is staged is somebody else's to drop, or to apply
            tickets.discard(self.engine, ingest_id)
            with writing(self.engine) as conn:
                ingests.finish(conn, ingest_id, self.clock.now(), ingests.FAILED, error)

    def count(self, batch: Batch, rows: normalise.Rows, ingest_id: int, day: str = "day") -> None:
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

    def normalised(self, batch: Batch, districts: frozenset[str] | None = None) -> normalise.Rows:
        """The tickets of a batch as the store keeps them."""
        return normalise.tickets(batch, self.trees.areas, self.trees.categories, self.clock, districts, self.file.mapping, self.privacy)

    def tell(self) -> None:
        """Tells how far it has come."""
        if self.progress:
            self.progress((self.rows + self.stored) // 2, self.file.total)

    def check(self) -> None:
        """Raises InputError if no row is right."""
        if self.rows == 0:
            raise InputError("has no rows", str(self.file.path))
        if self.rejected == self.rows:
            raise InputError(f"all {self.rows} rows are wrong ({self.first_reject})", str(self.file.path), "correct them and send the file again")

    def report(self, ingest_id: int, totals: Totals) -> Report:
        """What an ingest that is closed has brought."""
        with reading(self.engine) as conn:
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

    def told(self, ingest_id: int, sender: str | None = None, request_key: str | None = None) -> IngestReport:
        """What is told of the ingest besides its numbers."""
        return IngestReport(
            ingest_id,
            None if self.first_day is None else self.first_day.date(),
            None if self.last_day is None else self.last_day.date(),
            tuple(self.joined[0]),
            tuple(self.joined[1]),
            tuple(self.rejects),
            sender,
            request_key,
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


def stage(work: Work, ingest_id: int, batches: Iterator[Batch], districts: frozenset[str] | None = None) -> None:
    """Checks the tickets of all batches and stages those that are right.

    Args:
        districts: codes of the districts to which the sender is limited; None: the whole city.
    """
    for batch, rows in ahead((batch, work.normalised(batch, districts)) for batch in batches):
        with writing(work.engine, batch=True) as conn:
            tickets.stage(conn, ingest_id, rows.kept)
            if len(rows.no_demand):
                tickets.stage_no_demand(conn, ingest_id, rows.no_demand)
            work.hold(conn, ingest_id)
        work.count(batch, rows, ingest_id)


def accept(work: Work, ingest_id: int, also: Callable[[Connection], None] | None = None) -> None:
    """What came is read to its end and checked: its new areas and categories are stored, and it may be applied.

    Args:
        also: what belongs into the same transaction.
    """
    now = work.clock.now()
    with writing(work.engine) as conn:
        work.joined = (areas.join(conn, work.trees.areas.found, now), categories.join(conn, work.trees.categories.found, now))
        ingests.mark(conn, ingest_id, rows=work.rows, rejected=work.rejected, later=work.later, left_out=work.left_out)
        if also is not None:
            also(conn)
        work.hold(conn, ingest_id)


def _until() -> datetime:
    return datetime.now(UTC) + LEASE  # of processes, not of the city: it runs out although the city's clock may stand still


def _harmless(cell: str) -> str:
    """A cell that a spreadsheet does not take for a formula."""
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell
