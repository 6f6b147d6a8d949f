"""`/`: the operation's page for people with a browser; for programs, where to go from here."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import Field

from service.api.callers.access import Access
from service.api.deps import Running, Service, caller_of_page
from service.api.errors import KINDS, NO_ANSWER, RETRY_AFTER, Problem, problems
from service.api.operation.home import home
from service.api.operation.schemas import Start
from service.api.web.forms import prefers_page, weights
from service.api.web.parameters import Parameters
from service.settings import Settings
from service.store import page_tokens
from service.store.engine import writing
from service.web import pages
from service.web.words import LANGUAGES, WORDS, Language

router = APIRouter(tags=["operation"])

_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/html": {"schema": {"type": "string", "description": "(where HTML is liked better) The operation's page."}}}},
    303: {"description": "(with `token`) A session has begun: the same address without the token."},
    **problems(401, 422, 429, 500, 503),
}


class StartParameters(Parameters):
    """Parameters of `/`."""

    token: str | None = Field(None, max_length=100, description="A one-time token, see `weisu keys page`.")
    lang: Language | None = Field(None, description="Language of the page; unless given, what `Accept-Language` asks for, else the city's.")


@router.get("/", operation_id="start", summary="Where to go from here", responses=_ANSWERS, response_model=Start)
async def start(request: Request, service: Running, response: Response, asked: Annotated[StartParameters, Query()]) -> Start | Response:
    """Names the documentation. Where `Accept` likes HTML better than JSON, as every browser does, it is the operation's page: whether the
    service is at work, its jobs, forecasts, data and running alerts, as far as the key or session may see them; without one, how to get in
    (401, as HTML). With a one-time token, as `weisu up` prints it on this machine, it begins a session in the browser.

    入口:接口文档地址;浏览器访问时为运行页(需密钥或会话,否则 401 并说明如何登录);带一次性令牌时建立浏览器会话。
    """
    wants_page = prefers_page(request)
    try:
        if asked.token is not None:
            return await run_in_threadpool(_session, request, service, asked.token, asked.lang)
        if not wants_page:
            response.headers["Vary"] = "Accept"
            return Start(version=request.app.version)
        caller = await caller_of_page(request, service)
        language = _language(request, asked.lang, service.settings)
        return _html(await run_in_threadpool(home, service, caller, language), language)
    except (Problem, *NO_ANSWER) as error:
        if not wants_page:
            raise
        problem = error if isinstance(error, Problem) else Problem(503, "the database does not answer", headers={"Retry-After": RETRY_AFTER})
        return _closed(problem, _language(request, asked.lang, service.settings))


def _session(request: Request, service: Service, token: str, language: Language | None) -> RedirectResponse:
    """Exchanges a one-time token for a session. Raises Problem: 401, it opens nothing; 429, too many of them."""
    access: Access = request.app.state.access
    access.rates.require_calm(request)
    with writing(service.engine) as conn:
        known = page_tokens.redeem(conn, token, service.clock.now())
    if not known:
        access.rates.failed(request)
        raise Problem(401, "the token of the address was used before, or is too old", where="token", mend="make another one: 'weisu keys page'")
    # an address without the token: it would stay in the browser's history
    answer = RedirectResponse("/" if language is None else f"/?lang={language}", 303)
    access.sessions.begin(request, answer)
    return answer


def _closed(problem: Problem, language: Language) -> HTMLResponse:
    """The page of one who does not get what he asked for: what is wrong, and how to get in. It has no data."""
    _, title, mend = KINDS[problem.status]
    heading = WORDS.get(str(problem.status), (title, title))[LANGUAGES.index(language)]
    shown = pages.page("closed.html", language, status=problem.status, heading=heading, detail=problem.detail, mend=problem.mend or mend)
    return _html(shown, language, problem.status, problem.headers or {})


def _html(page: str, language: Language, status: int = 200, headers: Any = None) -> HTMLResponse:
    told = {"Content-Security-Policy": pages.POLICY, "Content-Language": language, "Vary": "Accept, Accept-Language", "Cache-Control": "no-store"}
    return HTMLResponse(page, status, {**(headers or {}), **told})


def _language(request: Request, asked: Language | None, settings: Settings) -> Language:
    """What is asked for, else what the browser likes best of what there is, else the language of the city's country."""
    if asked is not None:
        return asked
    liked = sorted(weights(",".join(request.headers.getlist("accept-language"))), key=lambda pair: -pair[1])
    spoken = (language for name, weight in liked for language in LANGUAGES if weight > 0 and name.partition("-")[0] == language)
    return next(spoken, "zh" if settings.country.upper() == "CN" else "en")
