"""Tickets from a query in somebody else's database, behind a watermark."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Engine

from forecasting.errors import InputError
from service.connectors import tickets
from service.intake import privacy
from service.intake.columns import recognise
from service.pull_settings import SqlPull
from service.settings import Settings
from service.store import ingests, pulls, upstream
from service.store.engine import reading
from service.store.upstream import Mark

BATCHES = 10  # of 10,000 rows, in a part: a pull that is killed begins again with the part that it was at


def pull(db: Engine, settings: Settings, what: SqlPull) -> list[ingests.Ingest]:
    """Brings in what the query gives from the watermark on, less the overlap; what is known already counts as unchanged.

    Raises:
        InputError: the database cannot be read, the query gives no tickets, or a row without a value of the watermark.
    """
    with reading(db) as conn:
        state = pulls.get(conn, what.name)
    newest = None if state.watermark is None else upstream.read_mark(state.watermark)
    since = None if newest is None else upstream.earlier(newest, what.overlap)
    came = _Came(newest)
    done = []
    with upstream.rows(what.url.get_secret_value(), what.query, what.watermark, since, what.name) as (names, rows):
        if what.watermark not in names:
            raise InputError(f"its query has no column '{what.watermark}'", what.name, f"it has {', '.join(names)}")
        kept = privacy.of(settings)
        given = {"source": what.source} if what.source else {}
        layout = recognise(names, what.name, None, given, kept.unread)
        if layout.kind != "tickets":
            raise InputError(f"its query gives {layout.kind}, not tickets", what.name, "see docs/files.md for the columns of tickets")
        wanted = [(names[place], place) for place in layout.positions.values()]
        objects = ({name: tickets.plain(row[place]) for name, place in wanted} | given for row in came.watch(rows, names.index(what.watermark), what))
        batches = tickets.batches(objects, kept)

        def note(conn: Connection) -> None:
            if came.newest is not None:
                mark = upstream.not_after(came.newest, settings.clock.now(), settings.zone)
                pulls.put(conn, what.name, replace(pulls.get(conn, what.name), watermark=upstream.written(mark)))

        while found := tickets.bring(db, settings, what.name, islice(batches, BATCHES), note):
            done.append(found)
    return done


class _Came:
    """The newest value of a watermark that has come."""

    def __init__(self, newest: Mark | None) -> None:
        self.newest = newest

    def watch(self, rows: Iterator[Sequence[Any]], place: int, what: SqlPull) -> Iterator[Sequence[Any]]:
        """The same rows, which come in the order of their watermark."""
        for row in rows:
            if row[place] is None:
                mend = f"let the query give one, such as coalesce({what.watermark}, created_at)"
                raise InputError(f"a row has no '{what.watermark}'", what.name, mend)
            if not isinstance(row[place], upstream.KINDS):
                raise InputError(f"'{what.watermark}' is neither a moment, a number nor a text", what.name, "name another watermark")
            self.newest = row[place]
            yield row
