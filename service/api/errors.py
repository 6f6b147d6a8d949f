"""Errors as problem documents (RFC 9457): what is wrong, where, and how to mend it, in one shape for every status."""

import http
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import InterfaceError, OperationalError, TimeoutError
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from forecasting.errors import InputError

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
NO_ANSWER = (OperationalError, InterfaceError, TimeoutError)
"""What a database raises that is away, full or locked."""
RETRY_AFTER = "5"  # seconds; a database that restarts is back within a few of these


class ProblemDocument(BaseModel):
    """A problem document. 问题说明文档:错在哪里、如何改正。"""

    model_config = ConfigDict(extra="allow", title="Problem")

    type: str = Field(description="Identifies the kind of problem; stable.", examples=["urn:weisu:problem:invalid-input"])
    title: str = Field(description="The kind of problem in a few words; the same for every problem of a type.", examples=["Invalid input"])
    status: int = Field(description="HTTP status code.", examples=[422], ge=400, le=599)
    detail: str = Field(description="What is wrong this time.", examples=["there is no area '110199'"])
    instance: str = Field(description="Path of the request.", examples=["/v1/forecasts"])
    where: str = Field("", description="The parameter, header or part of the body concerned; may be empty.", examples=["area"])
    mend: str = Field(description="What you can do about it.", examples=["see /v1/districts for the codes"])
    available: list[str] | None = Field(None, description="(406) the media types that there are.", examples=[["application/json", "text/csv"]])
    request_id: str = Field(
        "", description="Id of the request: as its `X-Request-Id` said, or made here; the log has it too.", examples=["0f6b3c1e9a4d4c55"]
    )
    reasons: list[str] | None = Field(None, description="(503 of /readyz) everything that is missing.")
    rejects: list[Any] | None = Field(None, description="(422 of /v1/tickets, if no ticket is right) why, as in `rejects` of an intake.")


# status: (name in the type, title, how to mend it if nothing better is known)
KINDS: Mapping[int, tuple[str, str, str]] = {
    401: ("unauthorized", "No valid key", "send a valid key: 'Authorization: Bearer weisu_…'; an administrator makes one with 'weisu keys create'"),
    403: ("forbidden", "Not allowed", "ask an administrator for a key that may do this"),
    404: ("not-found", "Not found", "see /openapi.json for what there is"),
    405: ("method-not-allowed", "Method not allowed", "use a method that the Allow header names"),
    406: ("not-acceptable", "No such form of answer", "accept application/json, or name a form with format="),
    408: ("too-slow", "The request stood still", "send it again"),
    409: ("conflict", "Conflict", "read the current state and decide again"),
    410: ("gone", "Not kept any longer", "read the list anew and go on from there"),
    413: ("too-large", "Body too large", "send less"),
    415: ("unsupported-media-type", "Unknown form of body", "see /openapi.json for the forms of body that this path takes"),
    422: ("invalid-input", "Invalid input", "send the request as /openapi.json describes it"),
    429: ("too-many", "Too many requests", "wait as long as the Retry-After header says"),
    500: ("internal", "Internal error", "try again; if it stays, look in the service's log"),
    503: ("unavailable", "Not available now", "try again in a few seconds; /readyz says what is missing"),
}


class Problem(Exception):
    """Ends a request with a problem document.

    Args:
        status: one of KINDS.
        detail: what is wrong this time.
        where: the parameter, header or part of the body concerned.
        mend: what the caller can do about it; by default what KINDS says.
        headers: further headers of the response.
        more: further members of the document.
    """

    def __init__(self, status: int, detail: str, *, where: str = "", mend: str = "", headers: Mapping[str, str] | None = None, **more: Any) -> None:
        self.status, self.detail, self.where, self.mend, self.headers, self.more = status, detail, where, mend, headers, more
        super().__init__(detail)


class NotValid(Exception):
    """A token that opens nothing; the text says why, and tells nothing that its bearer does not know."""


def problem_response(request: Request, problem: Problem) -> JSONResponse:
    """The response that a problem becomes."""
    name, title, mend = KINDS.get(problem.status, ("http", http.HTTPStatus(problem.status).phrase, KINDS[422][2]))
    document = {
        "type": f"urn:weisu:problem:{name}",
        "title": title,
        "status": problem.status,
        "detail": problem.detail,
        "instance": request.scope["path"],
        "where": problem.where,
        "mend": problem.mend or mend,
        "request_id": request.scope.get("state", {}).get("request_id", ""),
        **problem.more,
    }
    return JSONResponse(document, problem.status, dict(problem.headers or {}), MEDIA_TYPE)


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The declaration of these errors for `responses=` of a route or router."""
    return {
        status: {
            "description": KINDS[status][1],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }


def install(app: FastAPI) -> None:
    """Makes every error of an app a problem document; what nobody foresaw becomes one in `service.api.web.envelope`."""

    @app.exception_handler(Problem)
    async def _problem(request: Request, error: Problem) -> JSONResponse:
        return problem_response(request, error)

    @app.exception_handler(InputError)
    async def _input(request: Request, error: InputError) -> JSONResponse:
        return problem_response(request, Problem(422, error.what, where=error.where, mend=error.mend))

    @app.exception_handler(RequestValidationError)
    async def _validation(request: Request, error: RequestValidationError) -> JSONResponse:
        return problem_response(request, _from_validation(error.errors()))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, error: HTTPException) -> JSONResponse:
        detail, headers = error.detail, dict(error.headers or {})
        if error.status_code == 400:  # bytes that are no text, or nested without end
            return problem_response(request, Problem(422, "the body cannot be read", where="body", mend="send a JSON object, or no body"))
        if error.status_code == 404:
            detail = f"there is nothing at {request.url.path}"
        elif error.status_code == 405:
            detail = f"{request.method} does nothing at {request.url.path}"
            methods = _methods(app, request.scope["path"])
            headers |= {"Allow": ", ".join(methods)} if methods else {}  # the router names those of one route alone
        return problem_response(request, Problem(error.status_code, detail, headers=headers))

    @app.exception_handler(OperationalError)
    @app.exception_handler(InterfaceError)
    @app.exception_handler(TimeoutError)
    async def _database(request: Request, error: Exception) -> JSONResponse:
        reason = str(error.__cause__ or error).splitlines()[0]
        log.error("database.no_answer", extra={"method": request.method, "path": request.url.path, "reason": reason})
        return problem_response(request, Problem(503, "the database does not answer", headers={"Retry-After": RETRY_AFTER}))


def _methods(app: FastAPI, path: str) -> list[str]:
    """The methods that do something at a path, by the OpenAPI document; none where it does not have the path."""
    return sorted({method.upper() for of, item in app.openapi()["paths"].items() if compile_path(of)[0].match(path) for method in item})


def _from_validation(errors: Sequence[Any]) -> Problem:
    """One document for all that a request's check found."""
    found: list[tuple[str, str, str]] = []
    for error in errors:
        place = [str(part) for part in error["loc"][1:]]
        where = ".".join(place) if error["loc"][0] != "body" else ".".join(["body", *place])
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, InputError):
            found.append((cause.where or where, cause.what, cause.mend))
        elif error["type"] == "extra_forbidden":
            found.append((where, f"there is no parameter '{place[-1] if place else ''}'", "see /openapi.json for the parameters of this path"))
        elif error["type"] == "json_invalid":
            found.append(("body", f"the body is no JSON: {cause}", "send a JSON object, or no body"))
        else:
            found.append((where, error["msg"], ""))
    places, faults, mends = (list(dict.fromkeys(column)) for column in zip(*found, strict=True))
    return Problem(422, "; ".join(faults), where=", ".join(places), mend="; ".join(text for text in mends if text))
