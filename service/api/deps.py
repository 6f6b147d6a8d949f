"""What endpoints ask for in their signatures: the running service, and a caller that may do this."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer, SecurityScopes
from sqlalchemy import Engine

from service.api.alerts.news import News
from service.api.callers.access import CHALLENGE, Access
from service.api.errors import Problem
from service.api.forecasts.published import PublishedForecasts
from service.api.remembered import Remembered
from service.api.web.bounds import require_within
from service.clock import Clock
from service.settings import Settings
from service.store.keys import Caller


@dataclass(frozen=True)
class Service:
    """What one API worker works with."""

    settings: Settings
    engine: Engine
    forecasts: PublishedForecasts
    news: News
    remembered: Remembered

    @property
    def clock(self) -> Clock:
        """The service's clock."""
        return self.settings.clock

    def local(self, moment: datetime) -> datetime:
        """A moment with the city's offset, as people read it."""
        return moment.astimezone(self.settings.zone)


async def _service(request: Request) -> Service:
    found: Service = request.app.state.service
    return found


Running = Annotated[Service, Depends(_service)]

_bearer = HTTPBearer(
    scheme_name="key",
    bearerFormat="weisu_<id>_<secret>",
    description="An API key, sent as `Authorization: Bearer weisu_…`. 访问密钥。Scopes: `forecasts:read`, `alerts:read`, `alerts:write` "
    "(includes `alerts:read`), `tickets:write`, `admin` (includes all). A key may be limited to districts. Where an identity provider is "
    "set up, its tokens (JWT) are taken as well.",
    auto_error=False,
)


async def _caller(
    request: Request, service: Running, needed: SecurityScopes, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    access: Access = request.app.state.access
    token = None if credentials is None else credentials.credentials
    caller = await access.caller(request, token)
    access.admit(request, caller, token)
    for scope in needed.scopes:
        if not caller.may(scope):
            challenge = f'{CHALLENGE}, error="insufficient_scope", scope="{scope}"'
            detail = f"your key '{caller.name}' lacks the scope '{scope}'"
            raise Problem(403, detail, where="Authorization", headers={"WWW-Authenticate": challenge})
    require_within(request, service.settings)
    return caller


async def caller_of_page(request: Request, service: Service) -> Caller:
    """Who opens a page: as `Requires()` says, for a route that answers others without a key. Raises Problem as that does."""
    return await _caller(request, service, SecurityScopes(), await _bearer(request))


def Requires(*scopes: str) -> Any:
    """The route may be called with a key that has all these scopes; without any, with every valid key."""
    return Security(_caller, scopes=scopes)
