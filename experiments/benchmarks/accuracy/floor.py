"""What can be reached at all: in the simulated city a forecast that knows the generator's rates, with real tickets one that knows each level.

The rates know calendar, growth and the weather that came, but neither incidents nor the shared shocks nor data faults. Their distribution is the
negative binomial with the variance that chance and shocks give each node.

Real tickets have no rates. What is left to gain there is shown by hindsight: the champion's forecast of each node and window times what makes
its sum right. Whatever still separates it from what came are the days within the window, which chance makes for the most part.
"""

import numpy as np
import pandas as pd

from experiments.benchmarks.panels import Panel
from forecasting import metrics
from forecasting.city.counts import CATEGORY_SHOCK, CITY_SHOCK, DISTRICT_SHOCK, OVERDISPERSION
from forecasting.city.faults import BLANK_SHARE
from forecasting.city.places import UNKNOWN
from forecasting.errors import InputError
from forecasting.forecast_set import with_quantiles
from forecasting.hierarchy import ALL

FLOOR = "generator"
HINDSIGHT = "hindsight"
HEATING = "HEAT"
NOVEMBER = 11


def forecasts(panel: Panel, rows: pd.DataFrame) -> pd.DataFrame:
    """The generator's forecast for the rows (`district`, `category`, `cutoff`, `date`) of another one.

    Raises:
        InputError: the panel is no simulated one.
    """
    if panel.rates is None:
        raise InputError(f"'{panel.name}' has no rates", "accuracy", "choose a simulated city")
    known = rates(pd.read_parquet(panel.rates))
    keys = ["district", "category", "date"]
    made = rows[["district", "category", "cutoff", "date"]].merge(known, on=keys, how="left", validate="m:1")
    return with_quantiles(made.fillna({"mean": 0.0, "dispersion": 0.0})).assign(model=FLOOR)


def hindsight(champion: pd.DataFrame, truth: pd.DataFrame) -> pd.DataFrame:
    """The champion's forecasts, `dispersion` among them, with the level of every node and window that proved right.

    It knows 1 of the 28 numbers that it is scored on, so that chance alone puts it 2 % below what could be reached.
    """
    node = [*metrics.KEYS, "cutoff"]
    came = champion.merge(truth, on=[*metrics.KEYS, "date"], how="left", validate="m:1")
    sums = came.assign(mean=came["mean"].where(came["count"].notna())).groupby(node)[["count", "mean"]].transform("sum")
    right = (sums["count"] / sums["mean"].where(sums["mean"] > 0)).fillna(1.0)
    return with_quantiles(champion.assign(mean=came["mean"].to_numpy() * right.to_numpy(), model=HINDSIGHT))


def rates(truth: pd.DataFrame) -> pd.DataFrame:
    """Mean and dispersion of every node and day, from the generator's `rate_without_incidents`.

    The variance of a node is that of chance, m + 0.02 Σ m², and that of the shared shocks: of the city on the whole, of each district and of each
    category on its part. Tickets without a district are a district of their own, as they are counted.
    """
    named = truth[["district", "category", "date"]].assign(m=truth["rate_without_incidents"] * (1 - BLANK_SHARE))
    blank = named.groupby(["category", "date"], as_index=False)["m"].sum().assign(district=UNKNOWN)
    cells = pd.concat([named, blank.assign(m=blank["m"] * BLANK_SHARE / (1 - BLANK_SHARE))], ignore_index=True)
    cells["date"] = pd.to_datetime(cells["date"])
    cells["own"] = cells["m"] ** 2
    nodes = []
    for summed in ((), ("district",), ("category",), ("district", "category")):
        keys = [key for key in ("district", "category") if key not in summed] + ["date"]
        node = cells.groupby(keys)[["m", "own"]].sum()
        for shock in ("district", "category"):  # squares of the sums over what shares a shock
            part = cells.groupby(list(dict.fromkeys([*keys, shock])))["m"].sum() ** 2
            node[shock + "_part"] = part.groupby(level=keys).sum()
        nodes.append(node.reset_index().assign(**dict.fromkeys(summed, ALL)))
    f = pd.concat(nodes, ignore_index=True)
    excess = OVERDISPERSION * f["own"] + CITY_SHOCK**2 * f["m"] ** 2 + DISTRICT_SHOCK**2 * f["district_part"] + CATEGORY_SHOCK**2 * f["category_part"]
    dispersion = np.where(f["m"] > 0, excess / f["m"].where(f["m"] > 0, 1.0) ** 2, 0.0)
    made: pd.DataFrame = f[["district", "category", "date"]].assign(mean=f["m"], dispersion=dispersion)
    return made


def heating(frames: dict[str, pd.DataFrame], truth: pd.DataFrame) -> dict[str, dict[str, float]]:
    """WAPE of heating in November, of the city ('category') and of its districts ('series'), by model."""
    found = {}
    for name, frame in frames.items():
        part = frame[(frame["category"] == HEATING) & (frame["date"].dt.month == NOVEMBER)]
        part = part.merge(truth, on=[*metrics.KEYS, "date"], how="inner", validate="m:1")
        level = metrics.level_of(part)
        found[name] = {
            kind: float((part["mean"] - part["count"]).abs()[level == kind].sum() / part["count"][level == kind].sum())
            for kind in ("category", "series")
        }
    return found
