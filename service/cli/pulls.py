"""`weisu pull`: what the scheduler pulls by itself, once by hand."""

from typing import Annotated

import typer

from service.cli import options
from service.settings import load_settings


def pull(name: Annotated[str, typer.Argument(help="Name of the pull, as weisu.toml has it.")]) -> None:
    """Pull weather or tickets from elsewhere, once; the scheduler does so by itself."""
    from service.connectors import pull as pulling
    from service.store import engine

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    try:
        engine.require_current(db)
        done = pulling.run(db, settings, name)
    finally:
        db.dispose()
    rows = options.number(done.rows, "row")
    told = f"{name}: {rows}, {done.added:,} new, {done.changed:,} changed, {done.unchanged:,} known already"
    options.console.print(told + (f", {done.rejected:,} rejected" if done.rejected else ""))
