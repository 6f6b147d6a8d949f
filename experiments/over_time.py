"""What is told of every day, as curves: a run a year, whose metrics have a point a day, so that MLflow's page draws them over time.

The step is the day of the year, so that two years lie one over the other; the moment is the end of the day, for the page's time axis.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Metric
from mlflow.entities import Run as MlflowRun

from experiments import tracking
from experiments.tracking import Run

EXPERIMENT = "weisu-monitoring"
KIND, UNTIL = "monitoring", "told_until"  # the value of the tag `kind`; the tag that says up to which day a run has been told
MOST = 35  # days that are made up for: MLflow was away, or is told for the first time


def tell(uri: str, artifacts: Path, until: date, numbers: Callable[[date], Mapping[str, float]], end_of: Callable[[date], datetime]) -> list[date]:
    """Adds the days that MLflow has not been told yet, up to one; a day is told once.

    Args:
        uri: the MLflow store: a server's address or a database.
        artifacts: where files lie if the store is a database.
        numbers: what is told of a day, by name; of a day without any nothing is told.
        end_of: the moment at which a day is over.

    Returns:
        the days that were told.

    Raises:
        MlflowException, SQLAlchemyError, OSError: the store cannot be reached or does not take it.
    """
    client = tracking.connect(uri)
    experiment = tracking.experiment_id(client, uri, artifacts, EXPERIMENT)
    there = {run.data.tags["year"]: run for run in client.search_runs([experiment], f"tags.kind = '{KIND}'")}
    last = max((run.data.tags[UNTIL] for run in there.values() if UNTIL in run.data.tags), default="")
    days = [day for back in reversed(range(MOST)) if f"{(day := until - timedelta(days=back))}" > last]
    told = []
    for day in days:
        points = numbers(day)
        if points:
            moment = round(end_of(day).timestamp() * 1000)
            run_id = _run(client, experiment, there, day, moment)
            client.log_batch(run_id, metrics=[Metric(key, value, moment, day.timetuple().tm_yday) for key, value in points.items()])
            client.set_tag(run_id, UNTIL, f"{day}")
            told.append(day)
    return told


def _run(client: MlflowClient, experiment: str, there: dict[str, MlflowRun], day: date, moment: int) -> str:
    """Id of the run of a day's year, which is made if there is none."""
    year = f"{day.year}"
    if year not in there:
        made = tracking.begin(client, experiment, Run(f"{KIND} {year}", tags={"kind": KIND, "year": year}), moment)
        tracking.end(client, made, moment)
        there[year] = client.get_run(made)
    return str(there[year].info.run_id)
