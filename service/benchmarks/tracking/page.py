"""What was measured, kept in one table and shown on one page."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import pandas as pd

from experiments.benchmarks.page import Bar, markdown
from service.benchmarks.tracking.measure import Recorded
from service.benchmarks.tracking.stores import HELD

KEPT = Path(__file__).with_name("kept.csv")
MOST_RUNS = 12
SECONDS = {448: 10.0, 20_000: 20.0}  # of a night, with an MLflow that is well
WAITS = 15.0  # seconds that a night waits at most, however MLflow does

HEAD = """# What MLflow costs a night

Made by `make bench-tracking`; do not edit it by hand. Written on {day}.

```sh
make bench-tracking                        # both sizes, SQLite; some minutes, and a quarter of an hour to train the large night
make bench-tracking ARGS=--postgresql      # PostgreSQL as well
make bench-tracking ARGS='--series 448'    # one size; what was measured of the other stays on this page
```

A trained night is recorded as the service records it: its report is drawn and its files are written into the spool, then they are sent, with a run
for the night and one for each member, and the model is registered. Each recording is a process of its own, so that loading MLflow's library and
drawing for the first time count, as they do for a trainer. `total` is the time until MLflow had all of it, `waited` that for which the night could
not go on: after twelve seconds it does, and what is left waits in the spool. Of several recordings the median, with the least and the greatest.
`load` is how many processes wanted a core when the first began: above 2, seconds say little.

Both nights are those of `make bench-speed`: three years of the simulated city, the default recipe.

*SQLite*, *PostgreSQL*: the database written directly, as `weisu up` and `compose.yaml` have it. *server over …*: `weisu mlflow` by its address. *two
trainings*: a server over SQLite, and the gate refused the candidate, so that the recipe that is served was trained as well. *dead*: nobody listens.
*silent*: connections are taken and never answered. *slow*: every answer takes {held:g} s. *full*: the server's database and files cannot grow.
"""


@dataclass(frozen=True)
class Row:
    """The recordings of one night with one MLflow: `Recorded`, the seconds as median, least and greatest."""

    series: int
    mlflow: str
    total: float
    total_least: float
    total_most: float
    waited: float
    waited_most: float
    writing: float
    runs: int
    files: int
    mb: float
    left: int
    well: bool
    rounds: int
    load: float
    measured: str


def row(series: int, mlflow: str, well: bool, made: Sequence[Recorded], load: float, day: str) -> Row:
    """Several recordings of the same as one row."""
    last, total, waited = made[-1], [one.total for one in made], [one.waited for one in made]
    return Row(
        series=series,
        mlflow=mlflow,
        total=round(float(np.median(total)), 2),
        total_least=round(min(total), 2),
        total_most=round(max(total), 2),
        waited=round(float(np.median(waited)), 2),
        waited_most=round(max(waited), 2),
        writing=round(float(np.median([one.writing for one in made])), 2),
        runs=last.runs,
        files=last.files,
        mb=round(last.mb, 2),
        left=last.left,
        well=well,
        rounds=len(made),
        load=load,
        measured=day,
    )


def keep(rows: Sequence[Row], path: Path = KEPT) -> pd.DataFrame:
    """Puts rows into the table that is kept, in the place of older ones of the same; returns the whole."""
    parts = [pd.DataFrame([asdict(one) for one in rows], columns=[field.name for field in fields(Row)])] if rows else []
    table = pd.concat([*parts, *([pd.read_csv(path)] if path.exists() else [])])
    table = table.drop_duplicates(["series", "mlflow"]).sort_values(["series", "well", "mlflow"], ascending=[True, False, True], ignore_index=True)
    table.to_csv(path, index=False)
    return table


def bars(table: pd.DataFrame) -> list[Bar]:
    """What must be reached, and whether it is."""
    made = []
    for series, most in SECONDS.items():
        rows = table[table["series"] == series]
        well, ill = rows[rows["well"]], rows[~rows["well"]]
        told = f"{series:,} series: "
        made.append(_bar(f"{told}seconds of MLflow's time, the slowest of {len(well)}", most, well["total"].fillna(np.inf), well["mlflow"]))
        made.append(_bar(f"{told}seconds that a night waits, the longest of {len(rows)}", WAITS, rows["waited_most"], rows["mlflow"]))
        made.append(_bar(f"{told}runs of a night", MOST_RUNS, well["runs"], well["mlflow"]))
        waits = int((ill["left"] == 1).sum())
        made.append(
            Bar(
                f"{told}nights that MLflow does not take wait in the spool",
                "all",
                f"{waits} of {len(ill)}",
                holds=waits == len(ill) if len(ill) else None,
            )
        )
    return made


def _bar(what: str, most: float, values: pd.Series, names: pd.Series) -> Bar:
    if values.empty:
        return Bar(what, f"{most:g} or less")
    at = int(values.argmax())
    value = float(values.iloc[at])
    return Bar(what, f"{most:g} or less", f"{value:g} ({names.iloc[at]})", holds=value <= most)


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The table as the page has it."""

    def seconds(name: str) -> pd.Series:
        return table[name].map(lambda x: "" if pd.isna(x) else f"{x:.1f}")

    several = (table["rounds"] > 1) & table["total"].notna()
    total = seconds("total") + (" (" + seconds("total_least") + " to " + seconds("total_most") + ")").where(several, "")
    taken = table["left"] == 0
    return pd.DataFrame(
        {
            "series": table["series"].map("{:,}".format),
            "MLflow": table["mlflow"],
            "total s": total.where(taken, "waits in the spool"),
            "waited s": seconds("waited"),
            "of which writing": seconds("writing"),
            "runs": table["runs"].astype(str).where(taken, ""),
            "files": table["files"].astype(str).where(taken, ""),
            "MB": table["mb"].map("{:.1f}".format).where(taken, ""),
            "load": table["load"].map("{:.1f}".format),
            "measured": table["measured"],
        }
    )


def page(day: str, table: pd.DataFrame, bar_table: pd.DataFrame) -> str:
    """The text of `docs/tracking.md`."""
    head = HEAD.format(day=day, held=HELD)
    return f"{head}\n## Bars\n\n{markdown(bar_table)}\n## Recordings\n\n{markdown(shown(table))}"
