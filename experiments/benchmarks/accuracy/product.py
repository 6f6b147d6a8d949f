"""The product's side, each piece in a process of its own.

    python -m experiments.benchmarks.accuracy.product backtest OUT '{"counts": …, "cutoffs": […], …}'
    python -m experiments.benchmarks.accuracy.product night OUT '{"counts": …, …}'

`backtest` goes through the same function as `weisu backtest` and keeps the dispersion, from which probabilities are taken. `night` is one
training as the service does it every night.
"""

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from experiments import files, night, recipes, rolling
from experiments.benchmarks import runs
from experiments.benchmarks.panels import HORIZON, Panel
from experiments.benchmarks.runs import ROOT, Run
from experiments.rolling import Request
from forecasting import panel
from forecasting.drivers import from_frame
from forecasting.hierarchy import Tree
from forecasting.models.base import Known

CORES = 2
NOT_OF_FORECASTS = ("city", "detection")  # folders of the library that no forecast goes through


def backtest_run(panel: Panel, model: str, name: str, work: Path, config: Path | None = None) -> Run:
    """The run that backtests one model of the product.

    Args:
        model: 'champion' or a member of the recipe.
        name: under which it is kept and reported.
        config: a recipe; None: the default one.
    """
    asked = {
        "counts": str(panel.counts),
        "drivers": str(panel.drivers) if panel.drivers else None,
        "config": str(config) if config else None,
        "country": panel.country,
        "cutoffs": panel.cutoffs(),
        "models": [model],
        "name": name,
    }
    settings = (config or ROOT / "experiments" / "configs" / recipes.DEFAULT).read_text("utf-8")
    inputs = runs.fingerprint(panel.fingerprint, engine(), settings, model, asked["cutoffs"], panel.country)
    out = work / panel.name / f"{name}.parquet"
    return Run(out, command("backtest", out, asked), inputs)


def command(what: str, out: Path, asked: dict[str, Any]) -> tuple[str, ...]:
    """The command line of a piece."""
    return (sys.executable, "-m", "experiments.benchmarks.accuracy.product", what, str(out), json.dumps(asked))


@lru_cache(maxsize=1)
def engine() -> str:
    """SHA-256 of the code that forecasts."""
    library = [p for p in (ROOT / "forecasting").rglob("*.py") if p.relative_to(ROOT / "forecasting").parts[0] not in NOT_OF_FORECASTS]
    return runs.code([*library, *(ROOT / "experiments" / f"{name}.py" for name in ("files", "recipes", "rolling", "workers", "night"))])


def backtest(out: Path, asked: dict[str, Any]) -> None:
    """Writes the forecasts of all cutoffs."""
    counts, drivers, config = (Path(asked[key]) if asked[key] else None for key in ("counts", "drivers", "config"))
    request = Request(
        tuple(asked["cutoffs"]), counts, None, drivers, HORIZON, asked["country"], config=config, models=tuple(asked["models"]), workers=CORES
    )
    made, _ = rolling.forecast(request, lambda done: print(f"{done} cutoffs", file=sys.stderr, flush=True))
    made.assign(model=asked["name"]).to_parquet(out, index=False)


def train(out: Path, asked: dict[str, Any]) -> None:
    """Trains once on all that the files hold; writes the scores, a row per model and level."""
    table = files.counts(Path(asked["counts"]))
    weather = from_frame(files.drivers(Path(asked["drivers"]), "Asia/Shanghai")) if asked["drivers"] else None
    areas = Tree(dict(pd.read_parquet(asked["areas"]).to_numpy())) if asked["areas"] else Tree()
    known = Known(panel.from_counts(table), areas, Tree(), weather, "CN")
    made = night.train(known, recipes.load(None), HORIZON, 0, lambda step: print(step, file=sys.stderr, flush=True))
    print(json.dumps(made.seconds), file=sys.stderr)
    made.scores.assign(series=len(known.panel.series), days=len(known.panel.days)).to_parquet(out, index=False)


if __name__ == "__main__":
    {"backtest": backtest, "night": train}[sys.argv[1]](Path(sys.argv[2]), json.loads(sys.argv[3]))
