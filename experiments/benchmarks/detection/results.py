"""The product's replays beside those of planted sets: what is to be run, and the bars of what is stored."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from experiments.benchmarks import panels, runs
from experiments.benchmarks.detection import bars, boston, city, cost, hourly, quiet, replay
from experiments.benchmarks.detection.boston import Irene
from experiments.benchmarks.detection.city import Judged
from experiments.benchmarks.detection.replay import Request
from experiments.benchmarks.page import Bar

PARTS = ("city", "bursts", "quiet", "boston", "cost")


def requests(wanted: Sequence[str], data: Path | None, work: Path) -> list[Request]:
    """The replays of some parts; files that they read are made if they are not there."""
    made = [city.request(name, work, faults) for name in panels.SIMULATED for faults in (True, False)] if "city" in wanted else []
    made += [hourly.request(work)] if "bursts" in wanted else []
    made += [quiet.request(name, work) for name in quiet.PANELS] if "quiet" in wanted else []
    if "boston" in wanted and data is not None:
        made.append(boston.request(data, work))
    return made + ([cost.request(work)] if "cost" in wanted else [])


def bars_of(work: Path) -> list[Bar]:
    """The bars of what is stored; nothing is run."""
    quiets = {name: alerts for name in quiet.PANELS if (alerts := replay.alerts(quiet.folder(name, work))) is not None}
    lines = [*bars.of_cities(_cities(work)), bars.of_bursts(_bursts(work)), *bars.of_quiet(quiets), *bars.of_irene(_irene(work))]
    return lines + bars.of_cost(runs.record(cost.folder(work) / "scores.parquet"))


def _cities(work: Path) -> dict[str, Judged]:
    judged = {}
    for name in panels.SIMULATED:
        alerts = replay.alerts(city.folder(name, work, faults=True))
        if alerts is not None:
            rates = pd.read_parquet(work / "panels" / name / "rates.parquet")
            judged[name] = city.judge(alerts, replay.alerts(city.folder(name, work, faults=False)), *city.truth(), rates)
    return judged


def _bursts(work: Path) -> pd.Series | None:
    alerts = replay.alerts(hourly.folder(work))
    if alerts is None:
        return None
    return hourly.delays(alerts, pd.read_csv(work / hourly.FOLDER / "truth.csv", dtype={"district": str}, parse_dates=["onset"]))


def _irene(work: Path) -> Irene | None:
    folder = boston.folder(work)
    alerts = replay.alerts(folder)
    return None if alerts is None else boston.judge(alerts, pd.read_parquet(folder / "alerts.parquet"))
