"""Tickets that were pulled, brought in: each part as a request of its own, and how far the pull has come in the same transaction."""

import json
import logging
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from sqlalchemy import Connection, Engine

from service.intake import mapping, privacy, requests
from service.intake.bodies import from_objects
from service.intake.files import Batch
from service.intake.privacy import Privacy
from service.settings import Settings
from service.store import ingests
from service.store.engine import reading, writing

log = logging.getLogger(__name__)

Note = Callable[[Connection], None]


def batches(objects: Iterator[Any], kept: Privacy) -> Iterator[Batch]:
    """Objects as rows of tickets; their line is their place, from 1."""
    return from_objects(((line, one, 0) for line, one in enumerate(objects, 1)), "tickets", kept)


def bring(db: Engine, settings: Settings, name: str, rows: Iterator[Batch], note: Note) -> ingests.Ingest | None:
    """Brings a part in and counts it; it is kept whatever happens to this process as soon as `note` is stored.

    Args:
        name: of the pull.
        note: stores how far the pull has come; also if there is no row.
    Returns:
        The ingest; None if there was no row.
    Raises:
        InputError: the rows cannot be read. Nothing is stored then, neither is the note.
    """
    first = next(rows, None)
    if first is None:
        with writing(db) as conn:
            note(conn)
        return None
    kept, how = privacy.of(settings), mapping.usual(settings)
    told = f"pull {name}"
    # What the other side has is not mended by asking again: where every row is wrong, too, the pull goes on behind them.
    request = requests.Request("", chain([first], rows), False, told, privacy=kept, mapping=how, name=told, even_if_all_wrong=True)
    ingest_id = requests.accept(db, request, settings.clock, note)
    requests.apply_all_waiting(db, settings.clock)
    with reading(db) as conn:
        done = ingests.get(conn, ingest_id)
    if done.rows and done.rejected == done.rows:
        log.warning("pull.all_rejected", extra={"pull": name, "ingest": ingest_id, "rejected": done.rejected})
    return done


def plain(value: Any) -> Any:
    """A value of a database as a text that intake reads, or as JSON has it."""
    if value is None or isinstance(value, str | dict | list):
        return value
    if isinstance(value, bytes | memoryview):
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return json.dumps(value) if isinstance(value, bool) else str(value)
