"""Commands that write reports."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from forecasting.errors import InputError
from service.cli import options
from service.settings import load_settings


def models(
    month: Annotated[str, typer.Option(help="The month, as 2025-11.")],
    out: Annotated[Path | None, typer.Option(help="File to write; left out, stdout.")] = None,
) -> None:
    """How good the published forecasts of a month were, what alerts turned out to be, and whether what comes in has changed (Markdown)."""
    from service.reports import models as report
    from service.store import engine

    try:
        day = datetime.strptime(month, "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        raise InputError(f"'{month}' is no month", "--month", "write it as 2025-11") from None
    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.reading(db) as conn:
        text = report.markdown(report.read(conn, settings.clock, day))
    if out is None:
        print(text, end="")
        return
    part = out.with_name(f".{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, "utf-8")
        part.replace(out)  # whole or not at all
    except OSError as error:
        raise InputError(f"cannot be written ({error.strerror})", str(out), "choose another file") from None
    options.console.print(f"wrote {out}")
