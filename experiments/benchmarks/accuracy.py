"""Accuracy of the champion and of every member, side by side on the same cutoffs, with the seconds that each needs.

    python -m experiments.benchmarks.accuracy                                     the simulated city, 2023-2025
    python -m experiments.benchmarks.accuracy --tickets FILE --country US --since 2011-01-01 --until 2014-12-31

Cutoffs lie one horizon apart; their windows tile the last days of the panel. Skill is against the better baseline.
"""

import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor
from datetime import date
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from experiments import files, recipes
from forecasting import backtest, city, metrics, panel
from forecasting.drivers import Drivers, from_frame
from forecasting.hierarchy import Tree
from forecasting.models.base import Known
from forecasting.recipe import CHAMPION, Recipe

START, END = date(2023, 1, 1), date(2025, 12, 31)  # the simulated city of every benchmark: figures of different days compare


def main(
    tickets: Annotated[Path | None, typer.Option(help="A file of tickets.")] = None,
    counts: Annotated[Path | None, typer.Option(help="A file of counts.")] = None,
    country: Annotated[str, typer.Option(help="Whose holidays.")] = "CN",
    zone: Annotated[str, typer.Option(help="Time zone of moments with an offset.")] = "Asia/Shanghai",
    since: Annotated[str, typer.Option(help="First day of the file that is used.")] = "",
    until: Annotated[str, typer.Option(help="Last day of the file that is used.")] = "",
    scale: Annotated[float, typer.Option(help="Scale of the simulated city.")] = 0.1,
    cutoffs: Annotated[int, typer.Option(help="How many.")] = 4,
    config: Annotated[Path | None, typer.Option(help="A recipe; left out, the default one.")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the dated table.")] = Path(".weisu/benchmarks"),
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Print and store the table."""
    name, table, weather = _panel(tickets, counts, zone, scale)
    if since:
        table = table[table["date"] >= pd.Timestamp(since)]
    if until:
        table = table[table["date"] <= pd.Timestamp(until)]
    whole = panel.from_counts(table)
    known = Known(whole, Tree(), Tree(), weather, country)
    recipe = recipes.load(config)
    result = compare(known, recipe, cutoffs, workers)
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"accuracy-{name}-{date.today():%Y-%m-%d}.csv"  # noqa: DTZ011 - the day on which it was run, where it was run
    result.to_csv(path, index=False)
    print(f"{name}: {len(whole.series)} series, {len(whole.days)} days until {whole.days[-1]:%Y-%m-%d}, {cutoffs} cutoffs")
    print(result.round(4).to_string(index=False))
    print(path)


def compare(known: Known, recipe: Recipe, cutoffs: int, workers: int, horizon: int = 28) -> pd.DataFrame:
    """A row per model and level: scores, skill against the better baseline (WAPE), seconds of the whole backtest."""
    last = known.cutoff
    days = [f"{last - pd.Timedelta(days=horizon * k):%Y-%m-%d}" for k in range(cutoffs, 0, -1)]
    parts, seconds = [], {}
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for model in (CHAMPION, *(m.name for m in recipe.members)):
            started = time.perf_counter()
            parts.append(backtest.run(known.at, recipe, backtest.make_task(days, horizon, (model,), 0, known), pool))
            seconds[model] = time.perf_counter() - started
    scores = metrics.score(pd.concat(parts, ignore_index=True), metrics.actuals(known.panel))
    scores = pd.concat([scores, metrics.mean_of_levels(scores)], ignore_index=True)
    baselines = [m.name for m in recipe.members if m.reference]
    best = scores[scores["model"].isin(baselines)].groupby("level")["WAPE"].min()
    scores["skill"] = 1 - scores["WAPE"] / scores["level"].map(best)
    scores["seconds"] = scores["model"].map(seconds)
    return scores.sort_values(["level", "WRMSSE"])


def _panel(tickets: Path | None, counts: Path | None, zone: str, scale: float) -> tuple[str, pd.DataFrame, Drivers | None]:
    """Name, counts and drivers of the panel."""
    if tickets:
        return tickets.resolve().parent.name, files.tickets(tickets, zone), None
    if counts:
        return counts.stem, files.counts(counts), None
    made = city.simulate(0, scale, START, END)
    daily = made.counts.groupby(["district", "category", "date"], as_index=False)["count"].sum()
    return f"city-{scale}", daily.assign(date=pd.to_datetime(daily["date"])), from_frame(made.drivers)


if __name__ == "__main__":
    typer.run(main)
