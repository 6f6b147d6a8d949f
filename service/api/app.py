"""The HTTP application: `uvicorn --factory service.api.app:create_app`."""

import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles
from fastapi_offline import FastAPIOffline
from sqlalchemy.exc import SQLAlchemyError
from starlette.routing import Route

from forecasting.errors import InputError
from service.api import errors
from service.api.alerts import alert_paths, alertmanager_paths, feed_paths, silence_paths, verdict_paths, webhook_paths
from service.api.alerts.news import News
from service.api.callers.access import Access
from service.api.counts import count_paths, ticket_list_paths
from service.api.deps import Service
from service.api.forecasts import forecast_paths, heatmap_paths
from service.api.forecasts.published import PublishedForecasts
from service.api.intake import driver_paths, ingest_paths, ticket_paths
from service.api.operation import accuracy_paths, audit_paths, health_paths, metrics_paths, model_paths, run_paths, start_paths, status_paths
from service.api.remembered import ForgettingWrites, Remembered
from service.api.trees import category_paths, district_paths
from service.api.web.answer_cache import Repeating
from service.api.web.envelope import Envelope
from service.api.web.request_log import Observed, Requests
from service.api.web.traced import Named, telemetry
from service.secret import of_keys
from service.settings import Settings, load_settings
from service.store.engine import open_engine, require_current
from service.web import pages

log = logging.getLogger(__name__)

ABOUT = """Forecasts of what citizens will bring to the city's hotline, and early warnings.

预测市民热线诉求并提前预警:未诉先办。

* **Keys.** Every path below `/v1` needs a key: `Authorization: Bearer weisu_…`. A key limited to districts sees these alone,
  and the city-wide alerts that concern one of them. `RateLimit` says what is left of its requests of this minute; 429 says when to go on.
* **Lists** are objects with `items` and `next`; pass `next` back to get the following page. It is opaque.
* **Errors** are problem documents (RFC 9457, `application/problem+json`) that say what is wrong (`detail`), where (`where`) and how
  to mend it (`mend`). Every answer has an `X-Request-Id`: the one that you send, or one made here.
* **Dates** are the city's local dates; moments carry an offset. `ALL` is the root of both trees.
* Later versions of `/v1` only add: ignore members that you do not know.
"""

TAGS = [
    {"name": "areas and categories", "description": "The two trees that everything is counted by. 区域与问题分类。"},
    {"name": "counts and forecasts", "description": "What came in and what is coming, in tickets a day. 工单量与预测。"},
    {"name": "alerts", "description": "What to act on now, and what was done about it. 预警及处置。"},
    {"name": "intake", "description": "Tickets and drivers in, and what became of them. 工单与驱动因素接入。"},
    {"name": "operation", "description": "How fresh everything is, and whether the service runs. 运行状态。"},
]


def _with_the_rest(app: FastAPI) -> None:
    """Adds to the OpenAPI document what no signature says: the problem document, and that an empty query parameter is one that is not given."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        document = made()
        document["components"]["schemas"].setdefault("Problem", errors.ProblemDocument.model_json_schema())
        for item in document["paths"].values():
            for operation in item.values():
                for parameter in operation.get("parameters", ()):
                    if parameter["in"] == "query":
                        parameter["allowEmptyValue"] = True
        return document

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's own way of extending the document


def _told_from_memory(app: FastAPI) -> None:
    """Makes the OpenAPI document once: anybody may ask for it, and to write it anew holds up everybody else for some milliseconds."""

    @cache
    def document() -> bytes:
        return bytes(JSONResponse(app.openapi()).body)

    async def openapi(_: Request) -> Response:
        return Response(document(), media_type="application/json")

    routes = app.router.routes
    (place,) = [number for number, route in enumerate(routes) if isinstance(route, Route) and route.path == app.openapi_url]
    routes[place] = Route(f"{app.openapi_url}", openapi, include_in_schema=False)


def create_app(settings: Settings | None = None) -> FastAPI:
    """The application over a store that is up to date.

    Args:
        settings: by default what the environment and `weisu.toml` say.

    Raises:
        InputError: a setting does not fit, or the database is missing, does not answer or is not up to date.
    """
    settings = settings or load_settings()
    engine = open_engine(settings.store_url)
    try:
        require_current(engine)
    except InputError:
        engine.dispose()
        raise
    except SQLAlchemyError as error:
        engine.dispose()
        reason = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"the database does not answer: {reason}", "WEISU_DATABASE_URL", "start its server, or mend the address") from None

    traces = None
    if settings.otlp_endpoint:
        from service.traces import Traces

        traces = Traces(settings, "weisu-api", engine)
    sets = PublishedForecasts()
    service = Service(settings, engine, sets, News(engine), Remembered(engine, sets, settings.clock, of_keys(settings)))
    access = Access(settings, engine, service.remembered)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await run_in_threadpool(service.remembered.city)  # who asks first need not wait for the set to be read
        except errors.NO_ANSWER as error:  # it may answer by the first request
            log.warning("store.silent", extra={"reason": type(error).__name__})
        # What is there now stays: the collector of garbage, which would look through all of it again and again, need not.
        gc.collect()
        gc.freeze()
        yield
        access.close()
        engine.dispose()
        if traces is not None:
            await run_in_threadpool(traces.end)

    app = FastAPIOffline(  # the page's scripts come from here: an operations centre has no way out
        static_url="/docs-files",
        title="Weisu 未诉",
        version=version("weisu"),
        description=ABOUT,
        openapi_tags=TAGS,
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the request claims
        lifespan=lifespan,
        telemetry=telemetry(traces),
    )
    _with_the_rest(app)
    _told_from_memory(app)
    app.state.service, app.state.access = service, access
    app.state.requests = Requests()
    app.add_middleware(Repeating, service=service, access=access)
    app.add_middleware(ForgettingWrites, remembered=service.remembered)
    app.add_middleware(Envelope, seconds=settings.request_seconds)
    app.add_middleware(Observed, requests=app.state.requests)
    if traces is not None:
        app.add_middleware(Named)
    errors.install(app)
    v1 = APIRouter(prefix="/v1", responses=errors.problems(401, 403, 422, 429, 500, 503))
    for noun in (
        district_paths,
        category_paths,
        count_paths,
        forecast_paths,
        heatmap_paths,
        accuracy_paths,
        feed_paths,
        verdict_paths,
        alertmanager_paths,
        alert_paths,
        silence_paths,
        ticket_paths,
        ticket_list_paths,
        driver_paths,
        ingest_paths,
        model_paths,
        run_paths,
        status_paths,
        webhook_paths,
        audit_paths,
    ):
        v1.include_router(noun.router)
    app.include_router(v1)
    app.include_router(health_paths.router)
    app.include_router(metrics_paths.router)
    app.include_router(start_paths.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC))
    return app
