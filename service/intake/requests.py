"""Rows that come without a file, over HTTP or pulled: tickets are staged as a whole and wait to be applied, drivers are stored at once."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from forecasting.errors import InputError
from service.clock import Clock
from service.intake import normalise, work
from service.intake.columns import Layout, named_in
from service.intake.files import Batch, TableFile
from service.intake.mapping import Mapping
from service.intake.privacy import Privacy, mask
from service.intake.work import Trees, Work
from service.store import drivers, ingest_reports, ingests, leases, tickets, waiting_ingests
from service.store.engine import is_outage, reading, writing
from service.store.ingest_reports import IngestReport, Reject
from service.store.waiting_ingests import Waiting

BODY = "body"  # stands for a request where a file has its name
LEASE = timedelta(seconds=15)  # a process that died is replaced so much later; one that lives renews it four times as often
MOST_DRIVERS = 200_000  # rows of drivers in one request, which are held: a year of hourly issues of 16 days; more come as a file
LONGEST_NOTE = 500  # characters of why a request failed
ATTEMPTS = 4  # to apply what may hold the reason in itself; those behind it wait meanwhile, a minute in all
FIRST_PAUSE = timedelta(seconds=5)  # after the first of them, three times as long after each further one
_FOREIGN = "ticket_id belongs to another district"

log = logging.getLogger(__name__)

Also = Callable[[Connection], None]


@dataclass(frozen=True)
class Request:
    """Rows that came otherwise than as a file.

    Attributes:
        sha256: fingerprint of the body.
        batches: its rows; an InputError that they raise refuses all of it.
        by_index: rows are told by their place from 0 (a batch's `lines` less 1), and not by their line.
        sender: id of the API key, or the name of the pull.
        request_key: under which the sender may repeat it.
        districts: codes of the districts that the sender is limited to; None: the whole city.
        privacy: what is kept of people; None: nothing.
        mapping: which ticket types are no demand.
        name: as the ledger shows it.
        even_if_all_wrong: nobody sends it again corrected: if no row of it is right, its rejects are kept all the same.
    """

    sha256: str
    batches: Iterator[Batch]
    by_index: bool
    sender: str
    request_key: str | None = None
    districts: frozenset[str] | None = None
    privacy: Privacy | None = None
    mapping: Mapping = field(default_factory=Mapping)
    name: str = BODY
    even_if_all_wrong: bool = False


@dataclass(frozen=True)
class Checked:
    """What a request would bring.

    Attributes:
        rows, taken, rejected, later, left_out: numbers of rows.
        report: its days, new codes and rejects.
    """

    rows: int
    taken: int
    rejected: int
    later: int
    left_out: int
    report: IngestReport


class NoneTaken(InputError):
    """No row of a request is right; `rejects` says why."""

    def __init__(self, under_way: Work) -> None:
        self.rejects: tuple[Reject, ...] = tuple(under_way.rejects)
        what = f"none of the {under_way.rows} {under_way.kind} can be taken ({self.rejects[0].reason})"
        super().__init__(what, str(under_way.file.path), "correct them and send them again")


class SentTwice(Exception):
    """Another request of this sender has taken the request key while this one was read."""


def accept(engine: Engine, request: Request, clock: Clock, also: Also | None = None) -> int:
    """Checks the tickets of a request and stages them; they wait for `apply_waiting` then, and are kept whatever happens to this process.

    A limited sender's tickets of other districts are rejected, and so are those that would take over a ticket stored for another district.

    Args:
        also: what is stored in the transaction that accepts it.
    Returns:
        The ingest's id.
    Raises:
        InputError: the body cannot be read, or has no ticket (`NoneTaken`: none that is right). Nothing is stored then.
        SentTwice: the request key was taken meanwhile. Nothing is stored then, either.
    """
    under_way = _work(engine, request, clock, "tickets")
    with under_way.opened() as ingest_id:
        work.stage(under_way, ingest_id, request.batches, request.districts)
        if request.districts is not None:
            with writing(engine) as conn:
                under_way.refuse(tickets.drop_foreign(conn, ingest_id, under_way.trees.areas.inside(request.districts)), _FOREIGN)
        if not request.even_if_all_wrong:
            _refuse_if_none(under_way)
            under_way.check()

        def waits(conn: Connection) -> None:
            ingest_reports.put(conn, under_way.told(ingest_id, request.sender, request.request_key))
            waiting_ingests.add(conn, Waiting(ingest_id, request.districts, request.by_index))
            if also is not None:
                also(conn)

        try:
            work.accept(under_way, ingest_id, waits)
        except IntegrityError:
            raise SentTwice from None
    return ingest_id


def take_drivers(engine: Engine, request: Request, clock: Clock, also: Also | None = None) -> int:
    """Stores the drivers of a request, all in one transaction.

    Args:
        also: what is stored in the same transaction.
    Returns:
        The ingest's id.
    Raises:
        InputError: the body cannot be read, has no row, or too many (`NoneTaken`: none that is right). Nothing is stored then.
        SentTwice: the request key was taken meanwhile. Nothing is stored then, either.
    """
    under_way = _work(engine, request, clock, "drivers")
    with under_way.opened() as ingest_id:
        values = _values(under_way, request, ingest_id)
        try:
            with writing(engine) as conn:
                ingest_reports.put(conn, under_way.told(ingest_id, request.sender, request.request_key))
                totals = drivers.put(conn, values, ingest_id)
                ingests.mark(conn, ingest_id, rows=under_way.rows, rejected=under_way.rejected, later=under_way.later)
                ingests.advance(conn, ingest_id, totals)
                under_way.hold(conn, ingest_id)
                ingests.finish(conn, ingest_id, clock.now())
                if also is not None:
                    also(conn)
        except IntegrityError:
            raise SentTwice from None
    return ingest_id


def check(engine: Engine, request: Request, clock: Clock, kind: str) -> Checked:
    """What `accept` (of tickets) or `take_drivers` would take and reject; nothing is stored. Raises InputError as they do."""
    under_way = _work(engine, request, clock, kind)
    taken = 0
    if kind == "drivers":
        taken = len(_values(under_way, request, 0))
    else:
        own = None if request.districts is None else set(under_way.trees.areas.inside(request.districts))
        for batch in request.batches:
            rows = under_way.normalised(batch, request.districts)
            under_way.count(batch, rows, 0)
            taken += len(rows.kept)
            if own is not None:
                with reading(engine) as conn:
                    foreign = tickets.foreign(conn, rows.kept, own)
                under_way.refuse(foreign, _FOREIGN)
                taken -= len(foreign)
        _refuse_if_none(under_way)
    under_way.check()
    trees = under_way.trees
    under_way.joined = (sorted(trees.areas.found), sorted(trees.categories.found))
    return Checked(under_way.rows, taken, under_way.rejected, under_way.later, under_way.left_out, under_way.told(0))


def apply_waiting(engine: Engine, clock: Clock, ingest_id: int) -> bool:
    """Applies a request that waits, or goes on with it. One that cannot be applied is closed as failed, its rows are set aside as they are staged,
    and those behind it go on; where that it cannot may pass, it is tried `ATTEMPTS` times.

    Returns:
        False if it waits still: for an earlier one, for somebody else who is at work on it, or for the next attempt.

    Raises:
        SQLAlchemyError: the database is away, full or busy; the request waits until it is not, and that is no attempt.
    """
    with reading(engine) as conn:
        if waiting_ingests.first_free(conn, datetime.now(UTC)) != ingest_id:
            return False
    with writing(engine) as conn:
        waiting = waiting_ingests.take(conn, ingest_id, datetime.now(UTC), _until())
    if waiting is None:
        return False
    try:
        # To find the repeats among millions of rows is one statement, which takes longer than a lease. A process that stood still meanwhile, and was
        # replaced, may go on all the same: what it finds applied it does not apply again.
        with leases.held(engine, lambda conn: waiting_ingests.renew(conn, ingest_id, _until()), LEASE.total_seconds() / 4, {"ingest": ingest_id}):
            tickets.apply(engine, ingest_id, limit=_limit(engine, waiting))
    except Exception as error:  # whatever it is: those behind it would wait for it for ever
        if is_outage(error):
            raise
        return _not_applied(engine, clock, waiting, error)
    with writing(engine) as conn:
        ingests.finish(conn, ingest_id, clock.now())
        waiting_ingests.remove(conn, ingest_id)
    return True


def _until() -> datetime:
    return datetime.now(UTC) + LEASE  # of processes, not of the city: it runs out although the city's clock may stand still


def _not_applied(engine: Engine, clock: Clock, waiting: Waiting, error: Exception) -> bool:
    """Notes that an attempt failed; whether it was the last one."""
    attempt, reason = waiting.attempts + 1, mask(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no reason'}")
    told = {"ingest": waiting.ingest_id, "attempt": attempt, "reason": reason[:LONGEST_NOTE]}
    if isinstance(error, OperationalError | MemoryError) and attempt < ATTEMPTS:  # memory may be short for what else there is
        pause = FIRST_PAUSE * 3**waiting.attempts
        log.warning("ingest.tried_again", extra=told | {"seconds": pause.total_seconds()})
        with writing(engine) as conn:
            waiting_ingests.postpone(conn, waiting.ingest_id, datetime.now(UTC) + pause)
        return False
    log.error("ingest.not_applied", extra=told, exc_info=None if isinstance(error, DBAPIError) else error)  # these name the row's values
    with writing(engine) as conn:
        kept = tickets.staged(conn, waiting.ingest_id)
        tried = f"tried {attempt} times, " if attempt > 1 else ""
        note = f"ingest {waiting.ingest_id} cannot be applied ({tried}{kept} rows are kept aside): {reason}"
        ingests.finish(conn, waiting.ingest_id, clock.now(), ingests.FAILED, note[:LONGEST_NOTE])
        waiting_ingests.set_aside(conn, waiting.ingest_id)
    return True


def _limit(engine: Engine, waiting: Waiting) -> tickets.Limit | None:
    """What the sender of a request may change: not what another request has stored since this one was accepted."""
    if waiting.districts is None:
        return None

    def refused(conn: Connection, foreign: list[tickets.Foreign]) -> None:
        ingests.reject(conn, waiting.ingest_id, len(foreign))
        by_index = waiting.by_index
        rejects = [Reject(line - 1 if by_index else None, None if by_index else line, name, named_in(_FOREIGN), _FOREIGN) for line, name in foreign]
        ingest_reports.add_rejects(conn, waiting.ingest_id, rejects)

    return tickets.Limit(Trees.stored(engine).areas.inside(waiting.districts), refused)


def apply_all_waiting(engine: Engine, clock: Clock) -> int:
    """Applies the requests that wait, one after the other; returns how many."""
    applied = 0
    while True:
        with reading(engine) as conn:
            following = waiting_ingests.first_free(conn, datetime.now(UTC))
        if following is None or not apply_waiting(engine, clock, following):
            return applied
        applied += 1


def _work(engine: Engine, request: Request, clock: Clock, kind: str) -> Work:
    file = TableFile(Path(request.name), request.sha256, Layout(kind, {}), None, (), mapping=request.mapping)
    return Work(engine, file, clock, Trees.stored(engine), kind, None, None, request.privacy, by_index=request.by_index)


def _values(under_way: Work, request: Request, ingest_id: int) -> pd.DataFrame:
    """The drivers of a request that are right, as `drivers.put` takes them."""
    parts = []
    for batch in request.batches:
        rows = normalise.drivers(batch, under_way.trees.areas, under_way.clock, request.mapping, request.districts)
        under_way.count(batch, rows, ingest_id, day="date")
        parts.append(rows.kept)
        if under_way.rows > MOST_DRIVERS:
            raise InputError(f"holds more than {MOST_DRIVERS:,} drivers", request.name, "send them in several requests, or load them as a file")
    _refuse_if_none(under_way)
    under_way.check()
    return pd.concat(parts, ignore_index=True)


def _refuse_if_none(under_way: Work) -> None:
    if under_way.rows and under_way.rejected == under_way.rows:
        raise NoneTaken(under_way)
