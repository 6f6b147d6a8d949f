"""How far each pull has come: what it need not fetch again."""

from dataclasses import asdict, dataclass, fields

from sqlalchemy import Connection, select

from service.store import bulk
from service.store.schema import pulls


@dataclass(frozen=True)
class State:
    """One row of the table `pulls`.

    Attributes:
        watermark: up to where it has come, as the connector writes it; None: nowhere yet.
        etag, last_modified: of the last answer over HTTP, as its server named them.
        sha256: fingerprint of that answer.
        failures: how often it has failed since it last succeeded.
    """

    watermark: str | None = None
    etag: str | None = None
    last_modified: str | None = None
    sha256: str | None = None
    failures: int = 0


def get(conn: Connection, name: str) -> State:
    """The state of a pull; that of one that has never run if there is none."""
    row = conn.execute(select(*(pulls.c[field.name] for field in fields(State))).where(pulls.c.name == name)).one_or_none()
    return State() if row is None else State(**row._mapping)


def put(conn: Connection, name: str, state: State) -> None:
    """Stores the state of a pull."""
    bulk.replace(conn, pulls, [{"name": name, **asdict(state)}])
