"""What is told of an ingest besides its numbers: the days it touched, what it met for the first time, the first rows it rejected.

For a request also who sent it and under which key, so that a request sent twice is known again.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date

from sqlalchemy import Connection, select

from service.store import bulk
from service.store.schema import ingest_reports

LISTED_REJECTS = 1000  # of one ingest: enough to mend the sender, a few hundred kilobytes at most


@dataclass(frozen=True)
class Reject:
    """A row that was not taken.

    Attributes:
        index: its place among the tickets of a JSON body, from 0; None where rows have lines.
        line: its line, from 1; None where rows have places.
        ticket_id: as sent; empty if it has none.
        field: the column concerned; empty if it is the row as a whole.
        reason: what is wrong, without anything that the row says.
    """

    index: int | None
    line: int | None
    ticket_id: str
    field: str
    reason: str


@dataclass(frozen=True)
class IngestReport:
    """One row of the table `ingest_reports`.

    Attributes:
        rejects: the first `LISTED_REJECTS`.
        sender: id of the API key of a request.
        request_key: the key under which the sender may repeat it.
    """

    ingest_id: int
    first_day: date | None
    last_day: date | None
    new_areas: tuple[str, ...]
    new_categories: tuple[str, ...]
    rejects: tuple[Reject, ...]
    sender: str | None = None
    request_key: str | None = None


def put(conn: Connection, report: IngestReport) -> None:
    """Stores a report, in place of an earlier one of the same ingest.

    Raises:
        sqlalchemy.exc.IntegrityError: the sender has used the key for another ingest.
    """
    row = asdict(report)
    bulk.replace(conn, ingest_reports, [{name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}])


def add_rejects(conn: Connection, ingest_id: int, rejects: Sequence[Reject]) -> None:
    """Lists further rejects of an ingest, if its report has room for them."""
    report = get(conn, ingest_id)
    if report is not None:
        put(conn, replace(report, rejects=(*report.rejects, *rejects)[:LISTED_REJECTS]))


def get(conn: Connection, ingest_id: int) -> IngestReport | None:
    """The report of an ingest; None if none was stored."""
    row = conn.execute(select(ingest_reports).where(ingest_reports.c.ingest_id == ingest_id)).one_or_none()
    if row is None:
        return None
    return IngestReport(
        row.ingest_id,
        row.first_day,
        row.last_day,
        _texts(row.new_areas),
        _texts(row.new_categories),
        tuple(Reject(**reject) for reject in row.rejects),
        row.sender,
        row.request_key,
    )


def sent_before(conn: Connection, sender: str, request_key: str) -> int | None:
    """The ingest of the request that a sender has sent under a key; None if it has used the key for none."""
    c = ingest_reports.c
    return conn.execute(select(c.ingest_id).where(c.sender == sender, c.request_key == request_key)).scalar()


def _texts(values: Sequence[str]) -> tuple[str, ...]:
    return tuple(values)
