"""The challenger: a recipe that forecasts in shadow, from what the night knew, so that both can be compared as they would have been told.

It comes after the night, in a process of its own: whatever becomes of it, the night is published and stays as it is. Nothing is judged by its
forecasts, and no rollback goes to them; they are compared with what came, as the published ones are.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from sqlalchemy import Engine

from experiments import night, recipes
from experiments.night import Night
from forecasting.errors import InputError
from service.jobs import knowledge, nightly, tracked
from service.settings import Settings
from service.store import engine, forecast_sets, promised, runs

KIND = "challenger"  # of its run in MLflow, which is no night

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Made:
    """What the challenger made.

    Attributes:
        forecast_set_id: the shadow set.
        mlflow_run_id: in MLflow; None if it could not be reached.
        cutoff: last day learnt from.
        night: scores and seconds.
    """

    forecast_set_id: int
    mlflow_run_id: str | None
    cutoff: date
    night: Night


def run(db: Engine, settings: Settings, progress: Callable[[str], None] | None = None) -> Made:
    """Trains the challenger on what the newest night knew, and keeps its forecasts as a shadow set.

    Late tickets that have come in since the night began are not seen. With another recipe than before the comparison begins anew.

    Args:
        progress: told the name of each step.

    Raises:
        InputError: no challenger is set, its recipe is none, no night is done, or it has forecast beside the newest one.
    """
    say = progress or (lambda _: None)
    if not settings.challenger:
        raise InputError("no challenger is set", "WEISU_CHALLENGER", "name the path of its YAML recipe")
    recipe = recipes.load(Path(settings.challenger))
    with engine.reading(db) as conn:
        done = runs.newest_success(conn)
        beside = None if done is None else forecast_sets.to_stand_beside(conn, done.id)
        if done is None or beside is None:
            what = "no night is done" if done is None else f"the challenger has forecast beside the night of {done.business_date}"
            raise InputError(what, "challenger", "wait for the next night, or repeat it with `weisu train --force`")
        known = knowledge.known(conn, settings, beside.cutoff, newest_change=beside.newest_change)
    say(f"training the challenger on all days until {beside.cutoff}")
    made = night.train(known, recipe, beside.horizon, progress=progress)
    row = nightly.row(made, done.id, None, beside.cutoff, beside.newest_change)
    with engine.writing(db) as conn:
        before = forecast_sets.newest_shadow(conn)
        if before is not None and before.recipe != recipe.mapping():
            promised.forget_challenger(conn)
        set_id = forecast_sets.add(conn, **row, issued_at=settings.clock.now(), shadow=True)
    say("recording the run in MLflow")
    tags = {"kind": KIND, "shadow": "true", "business_date": f"{done.business_date}", "ledger_run": f"{done.id}"}
    (mlflow_run_id,) = tracked.record(db, settings, [(made, tags)])
    if mlflow_run_id is not None:
        tracked.afterwards(db, settings)
    log.info("challenger.done", extra={"forecast_set": set_id, "cutoff": f"{beside.cutoff}", "seconds": round(made.seconds["total"], 1)})
    return Made(set_id, mlflow_run_id, beside.cutoff, made)
