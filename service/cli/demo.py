"""The main job from end to end: a city's tickets in, forecasts and alerts out, everything served; a simulated city goes on living."""

import fcntl
import json
import resource
import shutil
import socket
import sys
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx

from forecasting import calendars
from forecasting.errors import InputError
from service import secret
from service.cli import feed, options
from service.cli.data import describe
from service.cli.keys import page_address
from service.intake import mapping, privacy
from service.intake.ingest import ingest
from service.intake.work import Report
from service.jobs import supervisor
from service.settings import Settings
from service.store import engine, keys

YEARS = 3
MARK = ".weisu-demo"  # a file that says: this folder is a demo's and may be emptied
SCOPES = ("forecasts:read", "alerts:read", "alerts:write", "tickets:write", "admin")
PAGE = 10_000  # rows a request when the demo asks its own API


@dataclass(frozen=True)
class Wish:
    """What the command line asks for; see `weisu demo --help`."""

    once: bool = False
    data: Path | None = None
    as_of: str = ""
    tz: str = ""
    country: str = ""
    scale: float = 0.1
    seed: int = 0


def run(settings: Settings, wish: Wish) -> None:
    """Makes or takes a city, loads it, trains, detects and serves, in a folder of its own that every demo begins anew.

    Raises:
        InputError: the file cannot be used, a flag does not fit, or a port is in use.
    """
    started = time.monotonic()
    chosen = settings.model_fields_set & supervisor.addresses(settings).keys()
    for name, host in supervisor.addresses(settings).items():
        if name in chosen:
            supervisor.require_free(host, getattr(settings, name), name)
        else:
            supervisor.is_free(host, getattr(settings, name))  # raises if the address is not this machine's
    if wish.data is not None:
        options.existing(wish.data, "--data")
    settings = _settings(settings, wish)
    if wish.data is not None and wish.data.resolve().is_relative_to(settings.data_dir):
        raise InputError("lies in the demo's folder, which begins anew", str(wish.data), "move it elsewhere")
    _validate(settings, wish)
    with _claimed(settings.data_dir):
        _run(settings, wish, chosen, started)


def _run(settings: Settings, wish: Wish, chosen: Collection[str], started: float) -> None:
    folder = settings.data_dir
    engine.upgrade(settings.store_url)
    db = engine.open_engine(settings.store_url)
    try:
        reports = [_load(settings, db, path) for path in _files(settings, wish, folder)]
        last_day = reports[-1].last_day
        if not settings.as_of and last_day and last_day < settings.clock.business_date():
            # A demo on an old file stands at its end.
            settings = Settings(**settings.model_dump() | {"as_of": f"{last_day}"})
        _train(settings, db)
        with engine.writing(db) as conn:
            key = keys.create(conn, "demo", SCOPES, None, settings.clock.now(), secret=secret.of_keys(settings))
    finally:
        db.dispose()
    settings = _with_ports(settings, chosen)
    with supervisor.stop_signals() as stopped, supervisor.running(settings, stopped) as processes:
        options.console.print(f"ready after {time.monotonic() - started:.0f} s")
        if wish.once:
            print(json.dumps(_answer(settings, key), ensure_ascii=False), flush=True)
            return
        _greet(settings, key, wish)
        with ExitStack() as stack:
            if wish.data is None and last_day is not None:
                stack.enter_context(feed.running(settings, key, wish.seed, wish.scale, last_day))
            processes.watch(stopped)


def _settings(settings: Settings, wish: Wish) -> Settings:
    """The demo's settings: a folder of its own, and what the flags say."""
    changes: dict[str, Any] = {"data_dir": (settings.data_dir / "demo").resolve(), "database_url": "", "mlflow_tracking_uri": ""}
    if wish.as_of:
        changes["as_of"] = wish.as_of
    if wish.tz:
        changes["timezone"] = wish.tz
    if wish.country:
        changes["country"] = wish.country
    return Settings(**settings.model_dump() | changes)


def _validate(settings: Settings, wish: Wish) -> None:
    """Says before the work begins what is wrong with zone, date or country. Raises InputError, naming the flag if it came from one."""
    flags = {"WEISU_AS_OF": wish.as_of and "--as-of", "WEISU_TIMEZONE": wish.tz and "--tz"}
    try:
        settings.clock.now()
        calendars.validate_country(settings.country)
    except InputError as error:
        raise InputError(error.what, flags.get(error.where) or error.where, error.mend) from None


def _with_ports(settings: Settings, chosen: Collection[str]) -> Settings:
    """The settings with free ports in place of taken ones, but for those that somebody has chosen.

    To be called right before the ports are used: between two demos, whoever comes first takes them.
    """
    changes: dict[str, int] = {}
    with ExitStack() as stack:  # a port that was found stays taken until the other one is found, too
        for name, host in supervisor.addresses(settings).items():
            if name not in chosen and not supervisor.is_free(host, getattr(settings, name)):
                probe = stack.enter_context(socket.socket(supervisor.family(host)))
                probe.bind((host, 0))
                changes[name] = probe.getsockname()[1]
    return Settings(**settings.model_dump() | changes)


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Takes a folder for this demo alone, and empties it of what an earlier one left.

    Raises:
        InputError: it holds something else, another demo is at work in it, or it cannot be written.
    """
    mark = folder / MARK
    with ExitStack() as stack:
        try:
            if folder.exists() and not mark.exists() and (not folder.is_dir() or any(folder.iterdir())):
                raise InputError("is not empty and no demo's folder", str(folder), "choose another with WEISU_DATA_DIR")
            folder.mkdir(parents=True, exist_ok=True)
            fcntl.flock(stack.enter_context(mark.open("w")), fcntl.LOCK_EX | fcntl.LOCK_NB)
            for path in folder.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                elif path != mark:
                    path.unlink()
        except BlockingIOError:
            raise InputError("another demo is at work here", str(folder), "stop it, or choose another folder with WEISU_DATA_DIR") from None
        except OSError as error:
            raise InputError(f"cannot be written ({error.strerror})", str(folder), "choose another with WEISU_DATA_DIR") from None
        yield


def _files(settings: Settings, wish: Wish, folder: Path) -> list[Path]:
    """The files to load, in order: the given one, or those of the simulated city."""
    if wish.data is not None:
        return [wish.data]
    from forecasting import city

    end = settings.clock.business_date()
    with options.steps("simulating the city") as say:
        made = city.simulate(wish.seed, wish.scale, end - timedelta(days=YEARS * 365 - 1), end, say)
        city.write(made, folder / "city")
    return [folder / "city" / name for name in ("areas.csv", "categories.csv", "drivers.parquet", "tickets.parquet")]


def _load(settings: Settings, db: Any, path: Path) -> Report:

    with options.progress(f"loading {path.name}") as bar:
        report = ingest(db, path, settings.clock, bar, settings.data_dir / "rejects", mapping.usual(settings), privacy.of(settings))
    options.console.print(describe(report))
    return report


def _train(settings: Settings, db: Any) -> None:
    from service.jobs import nightly

    with options.steps("training") as say:
        done = nightly.run(db, settings, progress=say)
    table = done.night.scores
    if len(table):
        options.console.print(table[["level", "model", "WRMSSE", "WAPE", "WQL", "cover90", "bias"]].round(3).to_string(index=False))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    alerts, days = options.number(done.watched.raised, "alert"), options.number(len(done.watched.days), "day")
    options.console.print(f"trained in {done.night.seconds['total']:.0f} s (peak {peak:.0f} MB); {alerts} raised over {days}")


def _answer(settings: Settings, key: str) -> dict[str, Any]:
    """Forecasts, alerts and status, asked of the API over HTTP."""
    with httpx.Client(
        base_url=f"http://{settings.host}:{settings.api_port}", headers={"Authorization": f"Bearer {key}"}, timeout=60, trust_env=False
    ) as http:
        status = _get(http, "/v1/status")
        forecasts = _all(http, "/v1/forecasts")
        alerts = _all(http, "/v1/alerts")
    run_id = forecasts[0]["run_id"] if forecasts else None
    return {"forecasts": forecasts, "alerts": alerts, "run_id": run_id, "status": status}


def _all(http: httpx.Client, path: str) -> list[dict[str, Any]]:
    """Every item of a list, page by page."""
    items: list[dict[str, Any]] = []
    page = _get(http, path, limit=PAGE)
    items += page["items"]
    while page["next"]:
        page = _get(http, path, limit=PAGE, next=page["next"])
        items += page["items"]
    return items


def _get(http: httpx.Client, path: str, **parameters: str | int) -> Any:
    answer = http.get(path, params=parameters)
    answer.raise_for_status()
    return answer.json()


def _greet(settings: Settings, key: str, wish: Wish) -> None:
    """Addresses, the key and three commands to try, on stdout."""
    base = f"http://{settings.host}:{settings.api_port}"
    header = f"-H 'Authorization: Bearer {key}'"
    note = "" if wish.data else "模拟数据 simulated data: the places are real, the numbers are not. Today's tickets come in as the day goes on.\n"
    page = page_address(settings)
    opens = f"page     {page}\n" if page else ""
    sys.stdout.write(
        f"""
{note}{opens}API      {base}/docs
MLflow   http://{settings.mlflow_host}:{settings.mlflow_port}
key      {key}

What must I act on now?    curl -s {header} '{base}/v1/alerts?status=open'
What is coming?            curl -s {header} '{base}/v1/forecasts?area=ALL&category=ALL&format=csv'
Is all well?               curl -s {header} '{base}/v1/status'

Ctrl-C stops.
"""
    )
    sys.stdout.flush()
