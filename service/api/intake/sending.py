"""What all paths that rows are sent to have in common: a dry run, a key for repeats, and the answer if no row is right."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

from fastapi import Header, Query
from pydantic import Field
from sqlalchemy import Engine

from forecasting.errors import InputError
from service.api.deps import Service
from service.api.errors import RETRY_AFTER, Problem
from service.api.intake.driver_schemas import DryRun
from service.api.intake.ingest_paths import row_of
from service.api.web.parameters import Parameters
from service.api.web.row_bodies import Body
from service.clock import Clock
from service.intake import mapping, privacy, requests
from service.intake.work import TakenOver
from service.store import ingest_reports, ingests
from service.store.engine import reading
from service.store.keys import Caller


class _Sending(Parameters):
    dry_run: bool = Field(False, description="Say what would be taken and what is wrong, and store nothing. 试运行。")


Sending = Annotated[_Sending, Query()]

Take = Callable[[Engine, requests.Request, Clock], int]
"""Stores a request and returns its ingest. Raises `requests.NoneTaken` or `requests.SentTwice`."""

IdempotencyKey = Annotated[
    str | None,
    Header(
        min_length=1,
        max_length=200,
        pattern=r"^[\x21-\x7e]+$",
        examples=["2025-11-15T09:00-batch-17"],
        description="Names this request, so that it can be sent again when its answer was lost: the first answer is given once more.",
    ),
]


def accepted(service: Service, caller: Caller, body: Body, kind: str, request_key: str | None, take: Take) -> int:
    """The ingest of a body: what it was, if it was sent before under the same key, else what `take` makes of it.

    Raises:
        InputError: the key was another body's.
        Problem: 422, no row is right; 409, the same request is at work; 503, this worker stood still meanwhile.
    """
    before = _sent_before(service, caller, body, kind, request_key)
    if before is not None:
        return before
    try:
        with _refused():
            return take(service.engine, _request_of(service, caller, body, kind, request_key), service.clock)
    except requests.SentTwice:
        before = _sent_before(service, caller, body, kind, request_key)
        if before is None:
            raise Problem(409, "the same request is at work", where="Idempotency-Key", mend="send it again in a moment") from None
        return before
    except TakenOver as error:
        raise Problem(503, error.what, mend="send it again: nothing is counted twice", headers={"Retry-After": RETRY_AFTER}) from None


def _request_of(service: Service, caller: Caller, body: Body, kind: str, request_key: str | None) -> requests.Request:
    """A body as intake takes it."""
    kept = privacy.of(service.settings)
    rows = body.form.read(body.stream, kind, kept)
    how = mapping.usual(service.settings)
    return requests.Request(body.sha256, rows, body.form.by_index, caller.id, request_key, caller.districts, kept, how)


def _sent_before(service: Service, caller: Caller, body: Body, kind: str, request_key: str | None) -> int | None:
    """The ingest of the same request, sent before under the same key. Raises InputError if the key was another body's."""
    if request_key is None:
        return None
    with reading(service.engine) as conn:
        found = ingest_reports.sent_before(conn, caller.id, request_key)
        before = None if found is None else ingests.get(conn, found)
    if before is not None and (before.sha256, before.kind) != (body.sha256, kind):
        raise InputError("the key was used for another body", "Idempotency-Key", "take a new key for every new body")
    return found


@contextmanager
def _refused() -> Iterator[None]:
    """Tells, if no row is right, why."""
    try:
        yield
    except requests.NoneTaken as problem:
        rejects = [row_of(reject).model_dump() for reject in problem.rejects]
        raise Problem(422, problem.what, where=problem.where, mend=problem.mend, rejects=rejects) from None


def tried(service: Service, caller: Caller, body: Body, kind: str) -> DryRun:
    """The answer to a dry run."""
    with _refused():
        found = requests.check(service.engine, _request_of(service, caller, body, kind, None), service.clock, kind)
    return DryRun(
        kind=kind,
        rows=found.rows,
        taken=found.taken,
        rejected=found.rejected,
        later=found.later,
        left_out=found.left_out,
        first_day=found.report.first_day,
        last_day=found.report.last_day,
        new_areas=list(found.report.new_areas),
        new_categories=list(found.report.new_categories),
        rejects=[row_of(reject) for reject in found.report.rejects],
    )
