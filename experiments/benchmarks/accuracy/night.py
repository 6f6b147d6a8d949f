"""One night as the service has it every night, without store and MLflow: training, weeks, what is usual, hours, all of it packed.

python -m experiments.benchmarks.accuracy.night OUT '{"counts": …, "drivers": …, "areas": …, "categories": …, "hours": …}'
"""

import json
import sys
import time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pandas as pd

from experiments import files, night, recipes
from experiments.benchmarks import runs
from experiments.benchmarks.panels import HORIZON
from forecasting import intraday
from forecasting.drivers import from_frame
from forecasting.forecast_set import pack
from forecasting.hierarchy import Tree
from forecasting.models.base import Known
from forecasting.panel import from_counts

ZONE = "Asia/Shanghai"
FILES = ("drivers", "areas", "categories", "hours", "counts")
"""What a night reads: drivers; two trees of `code`, `parent` (areas may be missing); `category`, `date`, `hour`, `count` of the city; counts."""


def code() -> str:
    """SHA-256 of what a night goes through."""
    return runs.code(runs.behind(Path(__file__), ["experiments.benchmarks"]))


def main(out: Path, asked: dict[str, str | None]) -> None:
    """Trains once on all that the files hold; writes the scores, a row per model and level."""
    paths = {name: Path(path) for name, path in asked.items() if path}
    weather = from_frame(files.drivers(paths["drivers"], ZONE)) if "drivers" in paths else None
    areas, categories = (Tree(dict(pd.read_parquet(paths[name]).to_numpy())) if name in paths else Tree() for name in ("areas", "categories"))
    known = Known(from_counts(files.counts(paths["counts"])), areas, categories, weather, "CN")
    hours = pd.read_parquet(paths["hours"])
    made = night.train(known, recipes.load(None), HORIZON, progress=_say)
    _say("hours")
    started = time.perf_counter()
    shares = _shares(known, hours)
    blobs = made.forecast_set.to_parquet(), pack(made.outlook), pack(made.standing), pack(shares)
    seconds = made.seconds | {"hours and packing": time.perf_counter() - started}
    rows = {"days": len(made.forecast_set.frame), "weeks": len(made.outlook), "hours": len(shares)}
    print(json.dumps({"seconds": seconds, "rows": rows, "bytes": sum(map(len, blobs))}), file=sys.stderr)
    made.scores.assign(series=len(known.panel.series), days=len(known.panel.days)).to_parquet(out, index=False)


def _shares(known: Known, hours: pd.DataFrame) -> pd.DataFrame:
    """The shares of the hours of the days ahead."""
    learnt_from = known.calendar(0)["working"].loc[known.panel.days[-intraday.DAYS :]]
    profiles = intraday.learn(hours, learnt_from, sorted(set(known.panel.series["category"])), known.categories)
    working = known.calendar(HORIZON)["working"].loc[known.days_ahead(HORIZON)]
    return pd.DataFrame(columns=list(intraday.COLUMNS)) if profiles is None else profiles.of_days(working, ZoneInfo(ZONE))


def _say(step: Any) -> None:
    print(step, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
