"""`/livez`, `/readyz` and `/`: for load balancers and for people who arrive by chance."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy.exc import SQLAlchemyError

from service.api.callers.access import Access
from service.api.deps import Running
from service.api.errors import Problem, problems
from service.api.operation.schemas import Live, Ready, Start
from service.api.web.parameters import Parameters
from service.store import forecast_sets, page_tokens
from service.store.engine import reading, writing

router = APIRouter(tags=["operation"])

_SESSION: dict[int | str, dict[str, Any]] = {303: {"description": "(with `token`) A session has begun: the same address without the token."}}


class PageToken(Parameters):
    """Parameters of `/`."""

    token: str | None = Field(None, max_length=100, description="A one-time token, see `weisu keys page`.")


@router.get("/livez", operation_id="live", summary="Does the process answer?", responses=problems(500))
async def live() -> Live:
    """Answers without touching anything else.

    存活检查。
    """
    return Live()


@router.get("/readyz", operation_id="ready", summary="Can the service answer?", responses=problems(500, 503))
def ready(service: Running) -> Ready:
    """200 if the database answers and forecasts are published; else 503 with the reasons.

    就绪检查:数据库可用且已发布预测。
    """
    reasons: list[str] = []
    try:
        with reading(service.engine) as conn:
            if forecast_sets.pointer(conn) is None:
                reasons.append("no forecast set is published: wait for the first nightly run, or start 'weisu train'")
    except SQLAlchemyError:
        reasons.append("the database does not answer: check WEISU_DATABASE_URL and that its server runs")
    if reasons:
        raise Problem(503, "; ".join(reasons), mend="mend what 'reasons' names", headers={"Retry-After": "5"}, reasons=reasons)
    return Ready()


@router.get("/", operation_id="start", summary="Where to go from here", responses=_SESSION | problems(401, 422, 429, 500), response_model=Start)
def start(request: Request, service: Running, asked: Annotated[PageToken, Query()]) -> Start | RedirectResponse:
    """Names the documentation. With a one-time token, as `weisu up` prints it on this machine, it begins a session in the browser.

    入口:接口文档地址;带一次性令牌时建立浏览器会话。
    """
    if asked.token is None:
        return Start(version=request.app.version)
    access: Access = request.app.state.access
    access.rates.require_calm(request)
    with writing(service.engine) as conn:
        known = page_tokens.redeem(conn, asked.token, service.clock.now())
    if not known:
        access.rates.failed(request)
        raise Problem(401, "the token of the address was used before, or is too old", where="token", mend="make another one: 'weisu keys page'")
    answer = RedirectResponse("/", 303)  # an address without the token: it would stay in the browser's history
    access.sessions.begin(request, answer)
    return answer
