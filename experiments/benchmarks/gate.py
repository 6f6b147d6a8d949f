"""How far from the gate's limits the nights of a good recipe lie: the default one on the simulated city, night after night.

python -m experiments.benchmarks.gate                       eight nights, six weeks apart, so that each has days that the one before had not
python -m experiments.benchmarks.gate --city city-1.0 --nights 2

A city in which incidents, storms and seasons happen: alerts are true ones, too. The two limits that nothing else tells are measured by it.
"""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from experiments import files, gate, night, recipes
from experiments.benchmarks import panels
from experiments.benchmarks.page import markdown
from forecasting.drivers import from_frame
from forecasting.hierarchy import Tree
from forecasting.models.base import Known
from forecasting.panel import from_counts

WORK = Path(".weisu/benchmarks/gate")
APART = 42  # days from one night to the next
ZONE = "Asia/Shanghai"
BUDGET = 1.5  # the setting's default
COLUMNS = ("name", "where", "measured", "limit", "passed")
MEASURED = ("alerts", "WRMSSE baselines", "WQL baselines")


def main(
    city: Annotated[str, typer.Option(help="city-0.1 or city-1.0.")] = "city-0.1",
    nights: Annotated[int, typer.Option(min=1, max=17, help="So many nights, the last one on the city's last day.")] = 8,
    work: Annotated[Path, typer.Option(help="Folder of the city's files and of the table.")] = WORK,
) -> None:
    """Train and judge some nights; print each check's figure and limit, and what they range over. Every night is stored as soon as it is judged."""
    panel = panels.lay_down(city, None, work.resolve() / "panels")
    weather = None if panel.drivers is None else from_frame(files.drivers(panel.drivers, ZONE))
    whole = Known(from_counts(panel.table()), Tree(), Tree(), weather, panel.country)
    path, rows = work / f"{city}.csv", []
    for back in reversed(range(nights)):
        cutoff = whole.cutoff - timedelta(days=APART * back)
        made = night.train(whole.at(cutoff), recipes.load(), panels.HORIZON)
        told = [check.told() for check in gate.judge(made, None, BUDGET) if check.name in MEASURED]
        rows += [{"night": f"{cutoff:%Y-%m-%d}", **{name: check[name] for name in COLUMNS}} for check in told]
        measured = f"{date.today():%Y-%m-%d}"  # noqa: DTZ011 - where it was run
        pd.DataFrame(rows).assign(city=city, run=measured).to_csv(path, index=False)
        typer.echo(f"{cutoff:%Y-%m-%d}: {made.seconds['total']:.0f} s", err=True)
    table = pd.DataFrame(rows)
    typer.echo(markdown(table))
    typer.echo(markdown(table.groupby("name")["measured"].describe(percentiles=[0.5])[["count", "min", "50%", "max"]].reset_index()))


if __name__ == "__main__":
    typer.run(main)
