"""Commands that keep running: the demo, everything at once, and each process alone."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from forecasting.errors import InputError
from service.settings import load_settings


def demo(
    once: Annotated[bool, typer.Option("--once", help="Run the main job, print forecasts and alerts as one JSON document, and end.")] = False,
    data: Annotated[Path | None, typer.Option(help="A file of tickets; left out, the simulated city.")] = None,
    as_of: Annotated[str, typer.Option(help="Last day known, as 2011-08-28; left out, yesterday (or the last day of the file).")] = "",
    tz: Annotated[str, typer.Option(help="The city's time zone.")] = "",
    country: Annotated[str, typer.Option(help="Whose holidays (ISO 3166), or none.")] = "",
    scale: Annotated[float, typer.Option(help="Size of the simulated city; 1.0 is 12,000 tickets a day.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the simulated city.")] = 0,
) -> None:
    """Set up a city, train, detect and serve: the main job from end to end."""
    from service.cli import demo as job

    job.run(load_settings(), job.Wish(once, data, as_of, tz, country, scale, seed))


def up() -> None:
    """Run API, MLflow page and scheduler on this machine until Ctrl-C."""
    from forecasting import calendars
    from service.cli.keys import page_address
    from service.cli.options import console
    from service.jobs import supervisor
    from service.store import engine

    settings = load_settings()
    calendars.validate_country(settings.country)
    engine.upgrade(settings.store_url)
    with supervisor.stop_signals() as stopped, supervisor.running(settings, stopped) as processes:
        mlflow_page = settings.tracking_uri if settings.mlflow_elsewhere else f"http://{settings.mlflow_host}:{settings.mlflow_port}"
        page = page_address(settings)
        opens = f"Page    {page}  (opens once, within the hour; another one: weisu keys page)\n" if page else ""
        console.print(f"{opens}API     http://{settings.host}:{settings.api_port}/docs\nMLflow  {mlflow_page}\nCtrl-C stops.")
        processes.watch(stopped)


def api() -> None:
    """Run the HTTP API alone."""
    import uvicorn

    from service.api import memory
    from service.api.app import create_app
    from service.api.web.connection import patient_for
    from service.jobs.supervisor import end_with_supervisor, require_free

    end_with_supervisor()
    settings = load_settings()
    require_free(settings.host, settings.api_port, "api_port")
    memory.give_back()
    # our own log tells every request, and errors in one form
    options: dict[str, Any] = {"log_level": "warning", "log_config": None, "access_log": False}
    # httptools and uvloop are named, so that a machine which lacks them says so and is not slow in silence
    http = patient_for(settings.request_seconds)
    uvicorn.run(create_app(settings), host=settings.host, port=settings.api_port, loop="uvloop", http=http, **options)


def scheduler() -> None:
    """Run the scheduler alone: nightly training, catch-up, detection after each ingest, webhooks."""
    import signal

    from forecasting import calendars
    from service.api.alerts.outgoing import Outgoing
    from service.jobs import scheduler as job
    from service.jobs import telling
    from service.jobs.supervisor import end_with_supervisor
    from service.store import engine

    end_with_supervisor()
    settings = load_settings()
    calendars.validate_country(settings.country)
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    words = Outgoing(settings, db)
    job.run(db, settings, telling.tellers(db, settings, words.changes, words.alarms))


def mlflow(
    send: Annotated[bool, typer.Option("--send", help="Send the nights that wait for MLflow, and end.")] = False,
    tidy: Annotated[bool, typer.Option("--tidy", help="Remove what it has of nights beyond the history that is kept, and end.")] = False,
) -> None:
    """Run the MLflow page alone, on this machine only, without telemetry and without its assistant."""
    if send or tidy:
        if send:
            _send_nights()
        if tidy:
            _tidy_nights()
        return
    from experiments import mlflow_database, mlflow_page
    from service.jobs.supervisor import end_with_supervisor, require_free

    end_with_supervisor()
    settings = load_settings()
    if settings.mlflow_elsewhere:
        raise InputError(f"the runs are kept by {settings.tracking_uri}", "WEISU_MLFLOW_TRACKING_URI", "look there, or name a database")
    require_free(settings.mlflow_host, settings.mlflow_port, "mlflow_port")
    folder = settings.mlflow_dir
    folder.mkdir(parents=True, exist_ok=True)
    hosts = ",".join(f"{name}:{settings.mlflow_port}" for name in dict.fromkeys(("localhost", "127.0.0.1", settings.mlflow_host)))
    os.environ |= {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
    }
    mlflow_database.make(settings.tracking_uri)  # before the server's processes are upon it
    store = mlflow_database.address(settings.tracking_uri)
    options = {
        "--backend-store-uri": store,
        "--registry-store-uri": store,
        "--artifacts-destination": (folder / "artifacts").resolve().as_uri(),  # whoever logs sends files to the server
        "--host": settings.mlflow_host,
        "--port": str(settings.mlflow_port),
        "--workers": "1",
        "--uvicorn-opts": "--log-level warning",
        "--allowed-hosts": hosts,
        "--app-name": mlflow_page.NAME,
    }
    arguments = [word for pair in options.items() for word in pair]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", "server", *arguments])


def _send_nights() -> None:
    from experiments import spool
    from service.cli import options
    from service.jobs import tracked
    from service.store import engine

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    sent = tracked.replay(db, settings)
    options.console.print(f"sent {options.number(sent, 'night')}; {len(spool.waiting(settings.spool_dir))} still wait")


def _tidy_nights() -> None:
    from service.cli import options
    from service.jobs import tracked
    from service.store import engine

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    options.console.print(f"removed {options.number(tracked.tidy(db, settings), 'run')}")
