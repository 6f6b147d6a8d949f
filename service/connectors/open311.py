"""Tickets from an Open311 endpoint (GeoReport v2), window by window."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from forecasting.errors import InputError
from service.connectors import tickets, web
from service.intake import privacy
from service.intake.json_rows import flat
from service.pull_settings import Open311Pull
from service.settings import Settings
from service.store import ingests, pulls
from service.store.engine import reading

PAGE = 100  # requests that a page may have: what public endpoints allow at most
SHORTEST = timedelta(minutes=10)  # of a window that is halved because its endpoint knows no pages
_ROUND = 50  # an answer of a multiple of it, from an endpoint without pages, may have been cut off


def pull(db: Engine, settings: Settings, what: Open311Pull) -> list[ingests.Ingest]:
    """Brings in what was requested from the watermark on, less the overlap, until now.

    Each window is brought in, and the watermark moved behind it, before the next is asked for.

    Raises:
        InputError: the endpoint does not answer, or with something else than requests.
    """
    now = settings.clock.now()
    with reading(db) as conn:
        state = pulls.get(conn, what.name)
    start = datetime.combine(what.start, time.min, settings.zone).astimezone(UTC)
    if state.watermark is not None:
        start = max(start, datetime.fromisoformat(state.watermark) - timedelta(days=what.overlap_days))
    kept = privacy.of(settings)
    done = []
    while start < now:
        end = min(start + timedelta(days=what.window_days), now)

        def note(conn: Connection, end: datetime = end) -> None:
            before = pulls.get(conn, what.name)
            mark = end.isoformat() if before.watermark is None else max(end, datetime.fromisoformat(before.watermark)).isoformat()
            pulls.put(conn, what.name, replace(before, watermark=mark))

        found = tickets.bring(db, settings, what.name, tickets.batches(_window(what, start, end, set()), kept), note)
        if found is not None:
            done.append(found)
        start = end
    return done


def _window(what: Open311Pull, start: datetime, end: datetime, seen: set[str]) -> Iterator[Any]:
    """The requests of a window that are not yet seen, each as a flat object. Pages are asked for until one brings nothing new."""
    page = 1
    while True:
        objects = _page(what, start, end, page)
        new = [one for one in objects if not isinstance(one, dict) or str(one.get("service_request_id")) not in seen]
        seen.update(str(one.get("service_request_id")) for one in objects if isinstance(one, dict))
        for one in new:
            yield _ticket(one, what.source)
        if not any(isinstance(one, dict) for one in new):
            break
        page += 1
    if objects and len(objects) % _ROUND == 0:  # it repeats itself: it knows no pages, and may have cut its answer off
        if end - start <= SHORTEST:
            raise InputError(
                f"answers with {len(objects)} requests at most, without pages", what.name, "ask its operator for pages (page, page_size)"
            )
        middle = start + (end - start) / 2
        yield from _window(what, start, middle, seen)
        yield from _window(what, middle, end, seen)


def _page(what: Open311Pull, start: datetime, end: datetime, page: int) -> list[Any]:
    params = {"start_date": _written(start), "end_date": _written(end), "page": str(page), "page_size": str(PAGE)}
    if what.jurisdiction:
        params["jurisdiction_id"] = what.jurisdiction
    if what.api_key.get_secret_value():
        params["api_key"] = what.api_key.get_secret_value()
    answer = web.get(f"{what.url.get_secret_value().rstrip('/')}/requests.json", params=params)
    try:
        found = json.loads(answer.content or b"", parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise InputError("answers with no list of requests", what.name, "see whether its url is that of a GeoReport v2 endpoint")
    return found


def _ticket(one: Any, source: str) -> Any:
    if not isinstance(one, dict):
        return one
    found = {name: json.dumps(cell) if isinstance(cell, bool) else cell for name, cell in (flat(one) or {}).items()}
    return found | ({"source": source} if source else {})


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
