"""Commands around the store: tables, files in, the simulated city, status."""

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.errors import InputError
from service.cli import options
from service.settings import Settings, load_settings

if TYPE_CHECKING:
    from service.intake.mapping import Mapping
    from service.intake.work import Report


def upgrade() -> None:
    """Create the database or bring its tables up to date; make the installation's secret if there is none."""
    from service import secret
    from service.store import engine

    settings = load_settings()
    engine.upgrade(settings.store_url)
    secret.of(settings)
    options.console.print("the database is up to date")


def backup(file: Annotated[Path, typer.Argument(help="The file to write; what stands in it is replaced when the new one is whole.")]) -> None:
    """Write the whole database into one file, while everybody works."""
    from service.store import backup as job
    from service.store import engine

    db = engine.open_engine(load_settings().store_url)
    engine.require_current(db)
    job.backup(db, file)
    options.console.print(f"{file}: {file.stat().st_size / 1e6:,.1f} MB")


def restore(
    file: Annotated[Path, typer.Argument(help="A file that `weisu backup` wrote, from the same kind of database.")],
    force: Annotated[bool, typer.Option("--force", help="In the place of what the database holds.")] = False,
) -> None:
    """Bring a backup back, and bring its tables up to date. The scheduler must be stopped."""
    from service.store import alert_changes, engine, leader
    from service.store import backup as job

    settings = load_settings()
    options.existing(file, "FILE")
    engine.upgrade(settings.store_url)
    db = engine.open_engine(settings.store_url)
    with leader.leading(db, settings.data_dir):
        job.restore(db, file, force)
        db.dispose()
        engine.upgrade(settings.store_url)
        with engine.writing(db) as conn:
            alert_changes.begin_anew(conn, datetime.now(UTC))
        db.dispose()
    options.console.print("the database is as it was")


def ingest(
    files: Annotated[
        list[Path], typer.Argument(help="Tickets, counts, drivers, areas, categories: CSV, XLSX, Parquet, NDJSON or JSON, each also as .gz.")
    ],
    mapping: Annotated[Path | None, typer.Option(help="YAML or TOML file that says how to read them, where their headers do not.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how they are understood and what would be rejected, and store nothing.")] = False,
) -> None:
    """Load files; each may be sent again, nothing is counted twice."""
    from service.intake import mapping as mappings
    from service.intake import privacy
    from service.intake.ingest import ingest as load
    from service.intake.ingest import recover
    from service.store import engine

    settings = load_settings()
    for path in files:
        options.existing(path, "FILE")
    how = mappings.usual(settings)
    if mapping is not None:
        how = mappings.load(options.existing(mapping, "--mapping"), how)
    if dry_run:
        for path in files:
            _examine(path, settings, how)
        return
    kept = privacy.of(settings)
    engine.upgrade(settings.store_url)
    db = engine.open_engine(settings.store_url)
    recover(db, settings.clock)
    for path in files:
        with options.progress(f"loading {path.name}") as bar:
            report = load(db, path, settings.clock, bar, settings.data_dir / "rejects", how, kept)
        options.console.print(describe(report))
    db.dispose()


def retry(
    ids: Annotated[
        list[int] | None, typer.Argument(metavar="ID", min=1, max=10**18, help="Ingests, as `intake` in `weisu status` names them.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="All that are set aside.")] = False,
) -> None:
    """Put tickets that could not be counted, and were set aside, back into the queue; the scheduler counts them within seconds."""
    import socket

    from service.store import engine, waiting_ingests

    if bool(ids) == every:
        raise InputError("no ingest is named" if not every else "ingests are named beside --all", "ID", "name those to put back, or all with --all")
    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.writing(db) as conn:
        done = waiting_ingests.put_back(conn, ids or None, settings.clock.now(), f"weisu retry on {socket.gethostname()}")
    for one in done:
        options.console.print(f"ingest {one.ingest_id} ({one.name}) is back in the queue: {options.number(one.rows, 'row')}")
    if not done:
        options.console.print("no ingest is set aside")


def _examine(path: Path, settings: Settings, mapping: "Mapping") -> None:
    """Prints how a file is understood. Raises InputError as an ingest would."""
    from service.intake import dry_run
    from service.intake.nodes import Nodes
    from service.intake.privacy import Privacy
    from service.store import areas, categories, engine

    db = engine.open_engine(settings.store_url)
    try:
        engine.require_current(db)
        with engine.reading(db) as conn:
            trees = Nodes(areas.frame(conn)), Nodes(categories.frame(conn))
    except InputError:  # none yet, or one that an ingest would bring up to date first
        trees = Nodes.empty(), Nodes.empty()
    finally:
        db.dispose()
    with options.progress(f"reading {path.name}"):
        found = dry_run.examine(path, settings.clock, *trees, mapping, Privacy(keep_text=settings.keep_text))
    print(dry_run.report(found))
    found.check()


def describe(report: "Report") -> str:
    """What a file brought, in one line."""
    rows = options.number(report.rows, "row")
    parts = [f"{report.name}: {rows} of {report.kind}, {report.added:,} new, {report.changed:,} changed, {report.unchanged:,} known already"]
    if report.first_day:
        parts.append(f"from {report.first_day} to {report.last_day}")
    if report.new_areas or report.new_categories:
        areas = options.number(len(report.new_areas), "area")
        categories = options.number(len(report.new_categories), "category", "categories")
        parts.append(f"{areas} and {categories} met for the first time")
    if report.left_out:
        parts.append(f"{options.number(report.left_out, 'row')} left out as no demand")
    if report.later:
        parts.append(f"{options.number(report.later, 'row')} later than the clock left out")
    if report.rejected:
        parts.append(f"{options.number(report.rejected, 'row')} rejected" + (f", see {report.rejects_path}" if report.rejects_path else ""))
    return "; ".join(parts)


def simulate(
    out: Annotated[Path, typer.Option(help="Folder for the files.")],
    seed: Annotated[int, typer.Option(help="The same seed gives the same city.")] = 0,
    scale: Annotated[float, typer.Option(help="1.0 is 12,000 tickets a day in 2023.")] = 0.1,
    start: Annotated[str, typer.Option(help="First day.")] = "2023-01-01",
    end: Annotated[str, typer.Option(help="Last day.")] = "2025-12-31",
    streets: Annotated[bool, typer.Option("--streets", help="Spread the tickets over 343 streets.")] = False,
) -> None:
    """Write the files of the simulated city, and the truth about it in a folder of its own."""
    from forecasting import city

    with options.steps("simulating") as say:
        made = city.simulate(seed, scale, options.day(start, "--start"), options.day(end, "--end"), say, streets)
        say("writing")
        city.write(made, out)
    options.console.print(f"{len(made.tickets):,} tickets in {out}")


def status() -> None:
    """Say what the store holds and what ran last, as JSON."""
    from service.jobs import knowledge
    from service.store import alerts, areas, categories, delays, engine, forecast_sets, ingests, jobs, runs, waiting_ingests

    settings = load_settings()
    db = engine.open_engine(settings.store_url)
    engine.require_current(db)
    with engine.reading(db) as conn:
        try:
            until: date | None = knowledge.complete_until(conn, settings.clock)
        except InputError:
            until = None
        last, pointer, queue = runs.latest(conn), forecast_sets.pointer(conn), waiting_ingests.standing(conn)
        answer = {
            "business_date": settings.clock.business_date(),
            "complete_until": until,
            "last_ingest": ingests.newest_done(conn),
            "last_run": {"id": last.id, "business_date": last.business_date, "status": last.status, "error": last.error} if last else None,
            "forecast_set": pointer,
            "running_alerts": len(alerts.running(conn)),
            "unlabelled": {"areas": areas.unlabelled(conn), "categories": categories.unlabelled(conn)},
            "reporting_delay": {
                code: {"complete_after_days": curve.complete_after, "known": [round(share, 3) for share in curve.known], "tickets": curve.tickets}
                for code, curve in delays.read(conn).items()
            },
            "jobs": {
                job.name: {"late": job.is_late(settings.clock.now()), "last_success": job.succeeded_at, "error": job.error, "next": job.next_at}
                for job in jobs.list_jobs(conn)
            },
            "intake": {
                "waiting": queue.waiting,
                "oldest_waiting": queue.waiting_since,
                "set_aside": len(queue.aside),
                "oldest_set_aside": queue.aside_since,
                "set_aside_ids": queue.aside[: waiting_ingests.NAMED],
            },
        }
    print(json.dumps(answer, default=str, ensure_ascii=False, indent=1))
