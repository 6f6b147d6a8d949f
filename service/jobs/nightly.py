"""The night's work: train on what is known at the end of the business date, ask the gate, record, publish, watch."""

import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import SQLAlchemyError

from experiments import gate_note, night, recipes
from experiments.night import Night
from experiments.report import Verdict
from forecasting import calendars, intraday
from forecasting.forecast_set import pack
from service import whole_set
from service.jobs import history, knowledge, monitoring, promotion, tracked, watch
from service.settings import Settings
from service.store import counts, delays, engine, forecast_sets, leases, runs

WARM_UP = 7  # days before the first night from which a first, unpublished set forecasts, so that the newest week can be judged at once
LEASE = timedelta(minutes=10)  # a training that was killed is made up for so much later
RENEW_EVERY = 60.0  # seconds; a lease outlives a machine that is busy or a store that does not answer for some minutes

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """What a night did.

    Attributes:
        run_id: in the ledger.
        mlflow_run_id: in MLflow; None if it could not be reached.
        cutoff: last day learnt from.
        forecast_set_id: the set that is served now.
        published: whether this night made it; else the gate refused all that it made.
        refused: the checks that the candidate did not pass, in words; empty: it is served.
        night: scores and seconds of what is published, or else of the candidate.
        watched: what detection did.
        monitored: what became of earlier promises, see `monitoring.run`.
    """

    run_id: int
    mlflow_run_id: str | None
    cutoff: date
    forecast_set_id: int
    published: bool
    refused: str
    night: Night
    watched: watch.Watched
    monitored: dict[str, float]


def run(db: Engine, settings: Settings, force: bool = False, progress: Callable[[str], None] | None = None) -> Trained:
    """Trains, asks the gate, records in MLflow, publishes in one transaction, and detects.

    What the gate refuses is kept unpublished; see `promotion.decide` for what is served then.
    The first night also trains as of a week earlier, without publishing: what came in the last week is then judged by a forecast that
    did not know it.

    Whatever fails once there is enough to learn from is an attempt in the ledger, a setting that no training can begin with as well: nobody
    else could tell how often it was tried.

    Args:
        force: train although the night is done.
        progress: told the name of each step.

    Raises:
        InputError: the store is empty or its history too short, the recipe is none, the night is done, or another training is at work.
        promotion.Refused: what was trained is broken, and nothing is served that could go on.
    """
    say = progress or (lambda _: None)
    clock = settings.clock
    business_date = clock.business_date()
    with engine.reading(db) as conn:
        days = history.days(conn, clock)
    if days < history.LEAST_DAYS:
        calendars.validate_country(settings.country)  # said at once: nobody waits for days to hear of it
        history.require(days)
    with engine.writing(db) as conn:
        run_id = runs.start(conn, business_date, f"{socket.gethostname()}:{os.getpid()}", clock.now(), LEASE, force)
    try:
        with _lease(db, settings, run_id):
            calendars.validate_country(settings.country)
            recipe = recipes.load(Path(settings.recipe) if settings.recipe else None)
            with engine.reading(db) as conn:
                curves = delays.estimate(conn, clock)
            with engine.writing(db) as conn:
                delays.put(conn, curves, clock)
            with engine.reading(db) as conn:
                cutoff = knowledge.complete_until(conn, clock)
                known, newest_change = knowledge.known(conn, settings, cutoff), counts.last_change(conn)
                needs_warm_up = forecast_sets.latest_before(conn, cutoff) is None
                served = promotion.served(conn, clock)
            history.require(len(known.panel.days))
            warm_up = cutoff - timedelta(days=WARM_UP)
            if needs_warm_up and len(known.panel.days) - WARM_UP >= history.LEAST_DAYS:
                say(f"first night: training as of {warm_up} to judge the last {WARM_UP} days")
                earlier = night.train(known.at(warm_up), recipe, settings.horizon, progress=progress)
                with engine.writing(db) as conn:
                    forecast_sets.add(conn, **row(earlier, run_id, None, warm_up, newest_change), issued_at=clock.now())
            say(f"training on all days until {cutoff}")
            candidate = night.train(known, recipe, settings.horizon, progress=progress)
            other = promotion.recipe_served(served, recipe, recipes.load())

            def refit() -> Night:
                assert other is not None
                say("training the recipe that is served, to compare with")
                return night.train(known, other, settings.horizon, progress=progress, yardstick=candidate.yardstick)

            decision = promotion.decide(candidate, refit if other else None, served, settings.false_alerts_per_day)
            say("hours")
            with engine.reading(db) as conn:
                hours = pack(_hours(conn, settings, candidate))
            say("recording the run in MLflow")
            began = time.monotonic()
            tags = {"business_date": f"{business_date}", "ledger_run": f"{run_id}"}
            verdicts = [Verdict(_told(one), decision.outcome(one)) for one in decision.made]
            records = tracked.record(db, settings, [(one.night, tags | _gate(one)) for one in decision.made], verdicts)
            left = tracked.PATIENCE - (time.monotonic() - began)
            shown, mlflow_run_id = decision.made[-1].night, records[-1]
            say("publishing")
            with engine.writing(db) as conn:
                now = clock.now()
                for one, record in zip(decision.made, records, strict=True):
                    new = row(one.night, run_id, record, cutoff, newest_change)
                    new |= {"outlook": pack(one.night.outlook), "hours": hours, "gate": _told(one)}
                    if one.published:
                        forecast_sets.publish(conn, **new, issued_at=now)
                    else:
                        forecast_sets.add(conn, **new, issued_at=now, withdrawn_at=now)
                set_id = forecast_sets.pointer(conn)
                assert set_id is not None
                runs.succeed(conn, run_id, now, mlflow_run_id, _summary(shown) | {"gate": [_told(one) for one in decision.made]})
    except BaseException as error:
        _fail(db, settings, run_id, error)
        raise
    _make_ready(db, settings, set_id)
    say("detecting")
    watched = watch.run(db, settings)
    say("comparing what was promised with what came")
    monitored = monitoring.run(db, settings)
    if mlflow_run_id is not None:
        say("telling MLflow what came of it")
        tracked.afterwards(db, settings, cutoff, left)
    log.info("night.done", extra={"run": run_id, "cutoff": f"{cutoff}", "seconds": round(shown.seconds["total"], 1)})
    refused = "" if decision.candidate.published else gate_note.failed(_told(decision.candidate))[1]
    return Trained(run_id, mlflow_run_id, cutoff, set_id, decision.published is not None, refused, shown, watched, monitored)


def _make_ready(db: Engine, settings: Settings, set_id: int) -> None:
    """Makes the published set ready to be fetched as a whole. Where it cannot be written, the API says it row by row."""
    try:
        with engine.reading(db) as conn:
            stored = forecast_sets.get(conn, set_id)
        whole_set.of_stored(settings, stored)
    except (OSError, SQLAlchemyError) as error:
        log.warning("whole_set.not_made", extra={"forecast_set": set_id, "reason": str(error).splitlines()[0]})


def _fail(db: Engine, settings: Settings, run_id: int, error: BaseException) -> None:
    """Notes in the ledger why an attempt failed, unless it is over already. On a full disk it cannot be noted: then its lease runs out."""
    try:
        with engine.writing(db) as conn, suppress(runs.LeaseLost):
            runs.fail(conn, run_id, settings.clock.now(), f"{type(error).__name__}: {error}"[:500])
    except SQLAlchemyError as other:
        log.warning("failure.not_noted", extra={"run": run_id, "reason": str(other).splitlines()[0]})


def _lease(db: Engine, settings: Settings, run_id: int) -> AbstractContextManager[None]:
    """Renews a run's lease as long as it lasts and nobody has taken it over."""

    def renew(conn: Connection) -> bool:
        try:
            runs.renew(conn, run_id, settings.clock.now() + LEASE)
        except runs.LeaseLost:
            return False
        return True

    return leases.held(db, renew, RENEW_EVERY, {"run": run_id})


def _gate(one: promotion.Judged) -> dict[str, str]:
    """What the gate said, as tags of the run in MLflow."""
    failed = ", ".join(check.name for check in one.checks if not check.passed)
    return {"gate": "failed" if failed else "passed", "gate_failed": failed, "let_in": str(one.published).lower()}


def _told(one: promotion.Judged) -> list[dict[str, Any]]:
    """The checks as plain values."""
    return [check.told() for check in one.checks]


def row(result: Night, run_id: int, mlflow_run_id: str | None, cutoff: date, newest_change: int | None) -> dict[str, Any]:
    """What `forecast_sets.add` takes of every training, `issued_at` left out."""
    forecasts = result.forecast_set
    return {
        "run_id": run_id,
        "mlflow_run_id": mlflow_run_id,
        "cutoff": cutoff,
        "horizon": int(forecasts.meta["horizon"]),
        "rows": len(forecasts.frame),
        "blob": forecasts.to_parquet(),
        "standing": pack(result.standing),
        "recipe": result.recipe.mapping(),
        "newest_change": newest_change,
    }


def _hours(conn: Connection, settings: Settings, result: Night) -> pd.DataFrame:
    """The shares of the hours of each day ahead; no rows where no ticket tells its hour."""
    known, horizon = result.champion.backtested.known, result.champion.backtested.horizon
    profiles = knowledge.profiles(conn, settings, known)
    working = known.calendar(horizon)["working"].loc[known.days_ahead(horizon)]
    return pd.DataFrame(columns=list(intraday.COLUMNS)) if profiles is None else profiles.of_days(working, settings.zone)


def _summary(result: Night) -> dict[str, object]:
    """What the ledger keeps of the scores: champion and baselines by level."""
    kept = result.scores[["model", "level", "WRMSSE", "WAPE", "WQL", "cover80", "cover90", "bias"]] if len(result.scores) else result.scores
    return {"scores": kept.round(4).to_dict("records"), "seconds": result.seconds, "peak_mb": round(result.peak_mb)}
