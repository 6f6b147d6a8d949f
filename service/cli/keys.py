"""Commands around API keys, and the address that opens the page on this machine."""

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.errors import InputError
from service.settings import Settings, load_settings

if TYPE_CHECKING:  # commands import what they need when they run
    from service.store.keys import Key

_SPAN = re.compile(r"([1-9]\d{0,3})([dhm])", re.ASCII)
_UNITS = {"d": "days", "h": "hours", "m": "minutes"}


def create(
    name: Annotated[str, typer.Option(help="Who uses it.")],
    scope: Annotated[list[str] | None, typer.Option(help="May be given several times; left out: forecasts:read and alerts:read.")] = None,
    district: Annotated[list[str] | None, typer.Option(help="Limits the key to these districts.")] = None,
    expires_in: Annotated[str, typer.Option(help="How long it is valid, as 365d, 12h or 30m; left out, until it is revoked.")] = "",
) -> None:
    """Make an API key and print it: it is shown this once."""
    from service import secret
    from service.store import engine, keys

    settings = load_settings()
    now = settings.clock.now()
    expires_at = now + _span(expires_in, "--expires-in") if expires_in else None
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.writing(db) as conn:
        scopes = scope or ["forecasts:read", "alerts:read"]
        print(keys.create(conn, name, scopes, district or None, now, secret=secret.of_keys(settings), expires_at=expires_at))


def rotate(
    key_id: Annotated[str, typer.Argument(help="The key's id, as `weisu keys list` shows it.")],
    overlap: Annotated[str, typer.Option(help="How long the old key stays valid, as 7d, 12h or 30m.")] = "7d",
) -> None:
    """Make a key in the place of another one and print it; both are valid until the overlap has passed."""
    from service import secret
    from service.store import engine, keys

    settings = load_settings()
    span = _span(overlap, "--overlap")
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.writing(db) as conn:
        print(keys.rotate(conn, key_id, span, settings.clock.now(), secret=secret.of_keys(settings)))


def list_all() -> None:
    """List the API keys: id, name, scopes, districts, whether valid and until when, last use."""
    from service.store import engine, keys

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.reading(db) as conn:
        for key in keys.list_keys(conn):
            where = ",".join(key.districts) if key.districts else "the whole city"
            used = f"used {_local(settings, key.last_used_at)}" if key.last_used_at else "never used"
            print(f"{key.id}  {key.name}  {','.join(key.scopes)}  {where}  {_state(settings, key)}  {used}")


def revoke(key_id: Annotated[str, typer.Argument(help="The key's id, as `weisu keys list` shows it.")]) -> None:
    """Make an API key invalid at once."""
    from service.store import engine, keys

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.writing(db) as conn:
        if not keys.revoke(conn, key_id, settings.clock.now()):
            raise InputError(f"there is no valid key '{key_id}'", "KEY_ID", "see `weisu keys list`")


def page() -> None:
    """Print an address that opens the page in a browser on this machine, once and within the hour."""
    settings = load_settings()
    address = page_address(settings)
    if address is None:
        what = f"the API listens on {settings.host}, not on this machine alone"
        raise InputError(what, "WEISU_HOST", "use a key: an address with a token is no secret in a network")
    print(address)


def page_address(settings: Settings) -> str | None:
    """The address of the page with a new one-time token; None if others than this machine could reach it."""
    from service.store import engine, page_tokens

    if not settings.on_loopback:
        return None
    db = engine.open_engine(settings.store_url)
    try:
        engine.require_current(db)
        with engine.writing(db) as conn:
            token = page_tokens.create(conn, settings.clock.now())
    finally:
        db.dispose()
    return f"{settings.api_address}/?token={token}"


def _span(text: str, flag: str) -> timedelta:
    """Reads a span of time. Raises InputError naming the flag."""
    form = _SPAN.fullmatch(text)
    if form is None:
        raise InputError(f"'{text}' is no span of time", flag, "write it as 7d, 12h or 30m")
    return timedelta(**{_UNITS[form[2]]: int(form[1])})


def _state(settings: Settings, key: "Key") -> str:
    if key.revoked_at is not None:
        return "revoked"
    replaced = f", replaced by {key.replaced_by}" if key.replaced_by else ""
    if not key.valid(settings.clock.now()):
        return f"expired{replaced}"
    return "valid" + (f" until {_local(settings, key.expires_at)}" if key.expires_at else "") + replaced


def _local(settings: Settings, moment: datetime) -> str:
    return f"{moment.astimezone(settings.zone):%Y-%m-%d %H:%M}"
