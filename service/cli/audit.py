"""`weisu audit`: who did what to what is served."""

import json
from typing import Annotated

import typer

from forecasting.errors import InputError
from service.settings import load_settings


def audit(
    actor: Annotated[str, typer.Option(help="Only what this one did: a key's name.")] = "",
    action: Annotated[list[str] | None, typer.Option(help="Only this, such as silenced or rollback; may be given several times.")] = None,
    subject: Annotated[str, typer.Option(help="Only what was done to this, such as 'alert 4b1f'.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="Entries, at most.")] = 100,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Print the audit log, the newest first."""
    from service.store import audit as store
    from service.store import engine

    for one in action or ():
        if one not in store.ACTIONS:
            raise InputError(f"'{one}' is no action", "--action", f"choose {', '.join(store.ACTIONS)}")
    if form not in ("table", "json"):
        raise InputError(f"'{form}' is no format", "--format", "choose table or json")
    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.reading(db) as conn:
        found = store.entries(conn, limit, store.Wanted(actor or None, action or (), subject or None))
    if form == "json":
        local = [vars(entry) | {"at": entry.at.astimezone(settings.zone).isoformat()} for entry in found]
        print(json.dumps(local, ensure_ascii=False, indent=1))
        return
    for entry in found:
        detail = json.dumps(entry.detail, ensure_ascii=False)
        print(f"{entry.at.astimezone(settings.zone):%Y-%m-%d %H:%M:%S}  {entry.actor}  {entry.action}  {entry.subject}  {detail}")
    if not found:
        print("no entries")
