"""Commands around models: train, watch, forecast, alerts, replay."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.errors import InputError
from service.cli import options
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from sqlalchemy import Engine

BRIEFLY = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "3"}  # how long MLflow is waited for by what follows the pointer


def train(
    force: Annotated[bool, typer.Option("--force", help="Train although the night is done or another training is at work.")] = False,
    challenger: Annotated[bool, typer.Option("--challenger", help="Train the challenger beside the newest night; nothing is published.")] = False,
) -> None:
    """Train on all finished days, record the run in MLflow, publish the forecast set, detect."""
    import signal

    from service.jobs import challenger as shadow
    from service.jobs import nightly
    from service.store import engine

    if force and challenger:
        raise InputError("a challenger forecasts once beside a night", "--force", "leave one of --force and --challenger out")
    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it says so in the ledger
    if challenger:
        with _steps("challenger", "training the challenger", settings, db) as say:
            made = shadow.run(db, settings, say)
        options.console.print(
            f"kept forecast set {made.forecast_set_id} in shadow (trained on all days until {made.cutoff}, MLflow run {made.mlflow_run_id}): "
            f"{made.night.seconds['total']:.0f} s, peak {made.night.peak_mb:.0f} MB"
        )
        return
    with _steps("night", "training", settings, db) as say:
        done = nightly.run(db, settings, force, say)
    table = done.night.scores[["level", "model", "WRMSSE", "WAPE", "WQL", "cover80", "cover90", "bias"]]
    options.console.print(table.round(3).to_string(index=False))
    if done.refused:
        options.console.print(f"refused by the gate: {done.refused}")
    served = f"published forecast set {done.forecast_set_id}" if done.published else f"forecast set {done.forecast_set_id} goes on being served"
    options.console.print(
        f"{served} (trained on all days until {done.cutoff}, MLflow run {done.mlflow_run_id}): "
        f"{done.night.seconds['total']:.0f} s, peak {done.night.peak_mb:.0f} MB; "
        f"{done.watched.raised} alerts raised, {done.watched.resolved} resolved"
    )


@contextmanager
def _steps(name: str, text: str, settings: Settings, db: "Engine") -> Iterator[Callable[[str], None]]:
    """The steps of a training, on stderr and, where a collector is named, as one trace of this name."""
    with options.steps(text) as say:
        if not settings.otlp_endpoint:
            yield say
            return
        from service.traces import Traces

        with Traces(settings, "weisu-train", db).night(name, say, business_date=f"{settings.clock.business_date()}") as told:
            yield told


def rollback(
    to: Annotated[str, typer.Option("--to", help="Number of a forecast set, or v7, its model's version; left out, the one published before.")] = "",
) -> None:
    """Publish the previous forecast set again, within seconds; what came after it is withdrawn."""
    import os
    import socket

    from service.store import engine
    from service.store import rollback as store

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    clock = settings.clock
    with engine.writing(db) as conn:
        done = store.roll_back(conn, to or None, clock.local_now().date(), clock.now(), f"weisu rollback on {socket.gethostname()}")
    taken_back = f"; withdrawn: {', '.join(map(str, done.withdrawn))}" if done.withdrawn else ""
    options.console.print(f"published is forecast set {done.now.id} (known until {done.now.cutoff}), no longer {done.before.id}{taken_back}")
    os.environ |= BRIEFLY  # done is done: the next watch tries again
    from service.jobs import aliases

    if not aliases.follow(db, settings):
        options.console.print("MLflow's aliases do not follow yet: the next `weisu watch` tries again")


def watch() -> None:
    """Compare finished days with the published forecasts, and raise, follow and resolve alerts."""
    import os

    from service.jobs import aliases
    from service.jobs import watch as job
    from service.store import engine

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    done = job.run(db, settings)
    days, alerts = options.number(len(done.days), "day"), options.number(done.raised, "alert")
    options.console.print(f"{days} watched: {alerts} raised, {done.followed} followed, {done.resolved} resolved")
    os.environ |= BRIEFLY  # the next detection waits for this one
    aliases.follow(db, settings)  # after a rollback, or where MLflow could not be reached before


def score() -> None:
    """Compare finished days with what was promised of them, and what comes in with what came before; each night does so by itself."""
    from service.jobs import monitoring
    from service.store import engine

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    for name, value in monitoring.score(db, settings).items():
        print(f"{name}  {value:.4g}")


def forecast(
    area: Annotated[str, typer.Option(help="District, or ALL for the city.")] = "ALL",
    category: Annotated[str, typer.Option(help="Category, or ALL for all of them.")] = "ALL",
    granularity: Annotated[str, typer.Option(help="day, week (thirteen of them) or hour (of the first two days).")] = "day",
    form: Annotated[str, typer.Option("--format", help="table, csv or json.")] = "table",
    explain: Annotated[bool, typer.Option("--explain", help="In the place of quantiles: what level, trend, calendar and weather add to it.")] = False,
) -> None:
    """Print the published forecast of one node: its days, the weeks of the outlook, or the hours of the first two days."""
    from forecasting import explanation, intraday, outlook
    from forecasting.distribution import QUANTILE_NAMES
    from forecasting.forecast_set import ForecastSet, unpack, with_quantiles
    from service.store import engine, forecast_sets

    if granularity not in ("day", "week", "hour"):
        raise InputError(f"'{granularity}' is no granularity", "--granularity", "choose day, week or hour")
    if explain and granularity == "hour":
        raise InputError("an hour is its day times the share of the hour", "--explain", "leave --granularity out: the days are explained")
    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.reading(db) as conn:
        pointer = forecast_sets.pointer(conn)
        if pointer is None:
            raise InputError("no forecast set is published", "store", "run `weisu train`")
        stored = forecast_sets.get(conn, pointer)
    frame = ForecastSet.from_parquet(stored.blob).frame
    for column, code, flag in (("area", area, "--area"), ("category", category, "--category")):
        if code not in set(frame[column]):
            raise InputError(f"no {column} '{code}' is forecast", flag, "see GET /v1/districts and /v1/categories for the codes")
    more = {"day": stored.blob, "week": stored.outlook, "hour": stored.hours}[granularity]
    if more is None:
        raise InputError(f"the forecast set has no {granularity}s", "--granularity", "run `weisu train --force`")
    table = unpack(more, outlook.COLUMNS) if granularity == "week" else frame
    rows = table[(table["area"] == area) & (table["category"] == category)]
    if rows.empty:
        raise InputError(f"no ticket of '{category}' has ever come from '{area}'", "--category", "choose another pair")
    if granularity == "hour":
        shares = unpack(more, intraday.COLUMNS)
        if shares.empty:
            raise InputError("no ticket tells its hour", "--granularity", "load tickets whose created_at has its time of day")
        rows = intraday.hours(rows[rows["horizon"] <= 2], frame, shares)
    if explain and explanation.COLUMNS[0] not in rows:
        raise InputError(f"the forecasts known until {stored.cutoff} were published without explanations", "--explain", "run `weisu train --force`")
    run_id = stored.mlflow_run_id or str(stored.run_id)
    columns = explanation.NAMES if explain else QUANTILE_NAMES
    rows = explanation.with_parts(rows) if explain else with_quantiles(rows)
    ahead = {"day": "horizon", "week": "week_ahead", "hour": "hour"}[granularity]
    rows = rows[["area", "category", "date", ahead, "mean", "model", *columns]].assign(date=rows["date"].dt.strftime("%Y-%m-%d"))
    if form == "table":
        print(rows[["date", ahead, "mean", *columns]].round(1).to_string(index=False))
        if explain:
            print(f"known until {stored.cutoff}, run {run_id}, {rows['model'].iloc[0]}")
        return
    if explain:
        rows = rows.assign(known_until=f"{stored.cutoff}", run_id=run_id)
    if form == "csv":
        rows.to_csv(sys.stdout, index=False)
    elif form == "json":
        print(rows.to_json(orient="records", force_ascii=False))
    else:
        raise InputError(f"'{form}' is no format", "--format", "choose table, csv or json")


def alerts(
    status: Annotated[str, typer.Option(help="open, acknowledged or resolved; left out: all that run.")] = "",
    kind: Annotated[list[str] | None, typer.Option(help="SPIKE, EMERGING, SEASONAL, FIRST_SEEN or DATA; may be given several times.")] = None,
    form: Annotated[str, typer.Option("--format", help="table or json.")] = "table",
) -> None:
    """Print alerts, the newest first."""
    from service.store import alerts as store
    from service.store import engine

    if status and status not in store.STATUSES:
        raise InputError(f"'{status}' is no status", "--status", f"choose {', '.join(store.STATUSES)}")
    for one in kind or ():
        if one not in store.KINDS:
            raise InputError(f"'{one}' is no kind", "--kind", f"choose {', '.join(store.KINDS)}")
    if form not in ("table", "json"):
        raise InputError(f"'{form}' is no format", "--format", "choose table or json")
    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.reading(db) as conn:
        wanted = store.AlertFilters(statuses=[status] if status else ["open", "acknowledged"], kinds=kind or ())
        rows = store.list_alerts(conn, filters=wanted, limit=None)
    if form == "json":
        print(json.dumps([row.__dict__ for row in rows], default=str, ensure_ascii=False, indent=1))
        return
    for row in rows:
        print(f"{row.id}  {row.level:<6}  {row.kind:<8}  {row.status:<12}  {row.reason_zh}\n{'':>20}{row.reason_en}")
    if not rows:
        print("no alerts")


def replay(
    start: Annotated[str, typer.Option(help="First day that is lived through, as 2025-01-01.")],
    end: Annotated[str, typer.Option(help="Last day that is lived through.")],
    out: Annotated[Path, typer.Option(help="Folder for alerts.parquet and scores.parquet.")],
    counts: Annotated[Path | None, typer.Option(help="Counts: district, category, date, count.")] = None,
    tickets: Annotated[Path | None, typer.Option(help="Tickets: ticket_id, created_at, district, category.")] = None,
    drivers: Annotated[Path | None, typer.Option(help="Drivers: name, date, value, optional district, issued_at.")] = None,
    country: Annotated[str, typer.Option(help="Whose holidays (ISO 3166), or none; left out, the setting.")] = "",
    refit_days: Annotated[int, typer.Option(help="Days between two trainings.")] = 28,
    budget: Annotated[float | None, typer.Option(help="Expected false demand alerts a day, over all kinds and nodes; left out, the setting.")] = None,
    config: Annotated[Path | None, typer.Option(help="A recipe; left out, the default one.")] = None,
    seed: Annotated[int, typer.Option(help="The same inputs and seed give the same bytes.")] = 0,
) -> None:
    """Live through past days as if live: write what would have been alerted when, and how unusual every node was on every day."""
    import signal

    from experiments import replay as lived

    settings = load_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it ends its workers
    request = lived.Request(
        start=start,
        end=end,
        counts=counts,
        tickets=tickets,
        drivers=drivers,
        country=country or settings.country,
        zone=settings.timezone,
        refit_days=refit_days,
        budget=settings.false_alerts_per_day if budget is None else budget,
        config=config,
        seed=seed,
        workers=settings.workers,
        scheduler=settings.dask_scheduler,
    )
    with options.progress("living through days", total=None) as bar:
        made = lived.run(request, out, bar)
    first = made.drop_duplicates("alert_id")
    print(first.groupby(["kind", "level"]).size().rename("alerts").reset_index().to_string(index=False) if len(first) else "no alerts")
