"""What the benchmarks' pages share: bars (what must be reached, what was, whether it holds) and tables in Markdown."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import pandas as pd


@dataclass(frozen=True)
class Bar:
    """A line of the list.

    Attributes:
        holds: None where it was not measured.
        interval: in which 95 of 100 resamples lie; empty where nothing was resampled.
    """

    what: str
    must: str
    reached: str = "not measured"
    interval: str = ""
    holds: bool | None = None


def percent(x: float) -> str:
    """A signed share: '-4.2 %'."""
    return f"{100 * x:+.1f} %"


def bar_table(bars: Sequence[Bar]) -> pd.DataFrame:
    """The bars, a row each."""
    table = pd.DataFrame([asdict(bar) for bar in bars])
    table["holds"] = [{True: "yes", False: "**no**", None: ""}[bar.holds] for bar in bars]
    return table


def markdown(table: pd.DataFrame, digits: int = 4) -> str:
    """A table in Markdown; what is not a number stays empty."""

    def cell(value: object) -> str:
        if isinstance(value, float):
            return "" if math.isnan(value) else f"{value:.{digits}f}"
        return str(value)

    lines = ["| " + " | ".join(table.columns) + " |", "|" + "---|" * len(table.columns)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in table.itertuples(index=False)]
    return "\n".join(lines) + "\n"
