"""A backtest of the product, in a process of its own.

    python -m experiments.benchmarks.accuracy.product OUT '{"counts": …, "cutoffs": […], …}'

It goes through the same function as `weisu backtest` and keeps the dispersion, from which probabilities are taken.
"""

import json
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from experiments import recipes, rolling
from experiments.benchmarks import runs
from experiments.benchmarks.panels import HORIZON, Panel
from experiments.benchmarks.runs import ROOT, Run
from experiments.rolling import Request

CORES = 2


def backtest_run(panel: Panel, model: str, work: Path) -> Run:
    """The run that backtests one model of the product.

    Args:
        model: 'champion' or a member of the recipe.
    """
    asked = {
        "counts": str(panel.counts),
        "drivers": str(panel.drivers) if panel.drivers else None,
        "country": panel.country,
        "cutoffs": panel.cutoffs(),
        "model": model,
    }
    inputs = runs.fingerprint(panel.fingerprint, engine(), recipe_text(), model, asked["cutoffs"], panel.country)
    out = work / panel.name / f"{model}.parquet"
    return Run(out, runs.program(__name__, out, asked), inputs)


def recipe_text() -> str:
    """The default recipe as its file has it."""
    return (ROOT / "experiments" / "configs" / recipes.DEFAULT).read_text("utf-8")


@lru_cache(maxsize=1)
def engine() -> str:
    """SHA-256 of the code that a backtest goes through. What explains a forecast is imported by it and not used."""
    return runs.code(runs.behind(ROOT / "experiments" / "rolling.py", ["forecasting.explanation"]))


def main(out: Path, asked: dict[str, Any]) -> None:
    """Writes the forecasts of all cutoffs."""
    counts, drivers = (Path(asked[key]) if asked[key] else None for key in ("counts", "drivers"))
    request = Request(tuple(asked["cutoffs"]), counts, None, drivers, HORIZON, asked["country"], models=(asked["model"],), workers=CORES)
    made, _ = rolling.forecast(request, lambda done: print(f"{done} cutoffs", file=sys.stderr, flush=True))
    made.to_parquet(out, index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
