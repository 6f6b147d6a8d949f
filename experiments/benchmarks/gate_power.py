"""Which candidates the gate tells from the champion: how often it refuses one that is as good, and lets in one that is worse.

python -m experiments.benchmarks.gate_power --data FOLDER       the panels of PANELS, five nights each; half an hour
python -m experiments.benchmarks.gate_power --panels boston-311-rodent --nights 2 --data FOLDER

Every night is trained three times: by the default recipe (the champion), by the same with another seed, and by a recipe with fewer members. The
candidate's scores are then made better or worse by one factor, so that over all nights they lie a chosen share above the champion's; from night to
night, window to window and level to level they lie as far from them as two real trainings do.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated

import pandas as pd
import typer

from experiments import files, gate, night, recipes
from experiments.benchmarks import panels
from experiments.benchmarks.page import markdown
from experiments.benchmarks.runs import ROOT
from experiments.night import Night
from forecasting.drivers import from_frame
from forecasting.hierarchy import Tree
from forecasting.models.base import Known
from forecasting.panel import from_counts
from forecasting.recipe import CHAMPION

WORK = Path(".weisu/benchmarks/gate")
PANELS = "boston-311-rodent,chicago-burglary-2011-14"  # small real ones: a night takes seconds
FEWER = ROOT / "experiments" / "configs" / "examples" / "few_members.yaml"
APART = 84  # days from one night to the next: half of the windows of one are those of the other
ZONE = "Asia/Shanghai"
WORSE = (0.0, 0.005, 0.015, 0.02, 0.03, 0.05, 0.1)  # shares by which the candidate's scores lie above the champion's over all nights
CHECKS = {"WRMSSE champion": "rmsse", "WQL champion": "loss"}  # and the sums that each is made of
CANDIDATES = ("another seed", "fewer members")

HEAD = """# What the gate tells apart

Made by `make bench-gate`; do not edit it by hand. Written on {day}.

```sh
make bench-gate ARGS='--data FOLDER'      # half an hour; real tickets as for make bench-accuracy
```

A candidate of another recipe than the one that is served is refused when its WRMSSE or its WQL lies above that one's by more than noise and one per
cent ([the gate](models.md#the-gate)). How often does that meet one that is as good, and how often does one slip through that is worse?

On {panels}, each at {nights} nights {apart} days apart, the default recipe was trained (the champion), the same with another
seed, and a recipe without booster and Prophet. The scores of the latter two were multiplied by one factor for all nights of a panel, so that over
all of them they lie a chosen share above the champion's; by night, window and level they lie as far from them as two real trainings do. Both are
asked about in both orders: {each} pairs a row. `limit` is the median of the larger one of what the two checks allow.
"""


def main(
    data: Annotated[Path | None, typer.Option(help="Folder of the real panels' tickets.")] = None,
    names: Annotated[str, typer.Option("--panels", help="By comma.")] = PANELS,
    nights: Annotated[int, typer.Option(min=1, max=12, help="So many of each panel, the last one on its last day.")] = 5,
    work: Annotated[Path, typer.Option(help="Folder of the panels' files and of what was judged.")] = WORK,
    shown: Annotated[Path, typer.Option("--page", help="The page that is written.")] = ROOT / "docs" / "gate.md",
) -> None:
    """Train and judge; print the table and write the page."""
    rows: list[dict[str, object]] = []
    for name in names.split(","):
        panel = panels.lay_down(name, data, work.resolve() / "panels")
        weather = None if panel.drivers is None else from_frame(files.drivers(panel.drivers, ZONE))
        whole = Known(from_counts(panel.table()), Tree(), Tree(), weather, panel.country)
        made = []
        for back in range(nights):
            made.append(trained(whole.at(whole.cutoff - timedelta(days=APART * back))))
            typer.echo(f"{name}: night {back + 1} of {nights}", err=True)
        rows += [{"panel": name, **row} for row in judged(made)]
        pd.DataFrame(rows).to_csv(work / "power.csv", index=False)
    table = shares(pd.DataFrame(rows))
    typer.echo(markdown(table))
    facts = {"panels": " and ".join(names.split(",")), "nights": nights, "apart": APART, "each": 2 * nights * len(names.split(","))}
    shown.write_text(f"{HEAD.format(day=date.today(), **facts)}\n{markdown(table)}", "utf-8")  # noqa: DTZ011 - where it was run


def trained(known: Known) -> tuple[Night, dict[str, Night]]:
    """The champion's night and the candidates', by one yardstick."""
    champion = night.train(known, recipes.load(), panels.HORIZON)
    made = [
        night.train(known, recipe, panels.HORIZON, seed, yardstick=champion.yardstick)
        for recipe, seed in ((recipes.load(), 1), (recipes.load(FEWER), 0))
    ]
    return champion, dict(zip(CANDIDATES, made, strict=True))


def judged(nights: Sequence[tuple[Night, dict[str, Night]]]) -> Iterator[dict[str, object]]:
    """A row for each pair of a night, in both orders, and share by which the first is worse: `refused`, and the larger one of the limits.

    Args:
        nights: as `trained` has them.
    """
    for name in CANDIDATES:
        others = [(candidates[name], champion) for champion, candidates in nights]
        for pairs in (others, [(served, candidate) for candidate, served in others]):
            rises = pd.DataFrame([{check.name: check.measured for check in against(*pair)} for pair in pairs]).mean()
            for worse in WORSE:
                for candidate, served in pairs:
                    checks = against(times(candidate, (1 + worse) / (1 + rises)), served)
                    yield {"candidate": name, "worse": worse, "refused": not gate.passed(checks), "limit": max(check.limit for check in checks)}


def against(candidate: Night, served: Night) -> list[gate.Check]:
    """The checks of a candidate beside what is served."""
    return [check for check in gate.judge(candidate, served, budget=1.0) if check.name in CHECKS]


def times(candidate: Night, factors: pd.Series) -> Night:
    """The candidate with scores so many times as high, by check."""
    windows, mine = candidate.windows.copy(), candidate.windows["model"] == CHAMPION
    for check, factor in factors.items():
        windows.loc[mine, CHECKS[str(check)]] *= factor
    return replace(candidate, windows=windows)


def shares(rows: pd.DataFrame) -> pd.DataFrame:
    """How many were refused, by how much worse they are and what the candidate is."""
    found = pd.DataFrame({"worse by": [f"{worse:.1%}" for worse in WORSE]}, index=list(WORSE))
    for name in CANDIDATES:
        cells = rows[rows["candidate"] == name].groupby("worse")
        found[f"{name}: refused"] = cells["refused"].mean().map("{:.0%}".format)
        found[f"{name}: limit"] = cells["limit"].median().map("{:.1%}".format)
    return found


if __name__ == "__main__":
    typer.run(main)
