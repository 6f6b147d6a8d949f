"""One public peer on a file of counts: forecasts of every node and cutoff, in the form of the product's own.

    python -P peers.py COUNTS OUT PEER COUNTRY CUTOFF [CUTOFF ...]

Runs in an environment of its own (`peers.lock`; these libraries need pandas below 3) and knows nothing of the product: a file in, a file out.
Each peer is fitted directly at every level (series, categories, districts, city), as its users would, on the pairs named by the cutoff, with a
zero on each day that does not name them. Two processes or threads each.
"""

# mypy: disable-error-code="import-not-found, import-untyped"
# The libraries are those of the other environment.

import logging
import multiprocessing
import sys
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HORIZON = 28
CORES = 2
ALL = "ALL"
INTERVALS = (50, 80, 90)  # per cent; their ends are the quantiles below
QUANTILES = {"q05": "lo-90", "q10": "lo-80", "q25": "lo-50", "q75": "hi-50", "q90": "hi-80", "q95": "hi-90"}
COLUMNS = ["district", "category", "cutoff", "date", "model", "mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]
SAMPLES = 200  # of Prophet's trend and noise, from which its intervals are taken

Long = pd.DataFrame  # unique_id, ds, y: the form of statsforecast and mlforecast


def table_of(counts: pd.DataFrame, cutoff: pd.Timestamp) -> tuple[pd.DataFrame, Long]:
    """The nodes known at a cutoff and their counts on every day from the first of the file to the cutoff.

    Returns:
        nodes: `unique_id`, `district`, `category`, with `ALL` in the place of what is summed.
        long: `unique_id`, `ds`, `y`, sorted.
    """
    past = counts[counts["date"] <= cutoff]
    wide = past.pivot_table(index="date", columns=["district", "category"], values="count", aggfunc="sum", fill_value=0)
    wide = wide.reindex(pd.date_range(counts["date"].min(), cutoff), fill_value=0).astype(float)
    series = wide.columns.to_frame(index=False)
    blocks = [wide.to_numpy()]
    nodes = [series]
    for key, other in (("category", "district"), ("district", "category")):
        codes, place = np.unique(series[key].to_numpy(str), return_inverse=True)
        member = (place[:, None] == np.arange(len(codes))).astype(float)
        blocks.append(wide.to_numpy() @ member)
        nodes.append(pd.DataFrame({key: codes, other: ALL}))
    blocks.append(wide.to_numpy().sum(axis=1, keepdims=True))
    nodes.append(pd.DataFrame({"district": [ALL], "category": [ALL]}))
    node = pd.concat(nodes, ignore_index=True)[["district", "category"]]
    node.insert(0, "unique_id", [f"{i:06d}" for i in range(len(node))])
    values = np.concatenate(blocks, axis=1)
    days = np.tile(wide.index.to_numpy(), len(node))
    return node, pd.DataFrame({"unique_id": np.repeat(node["unique_id"].to_numpy(), len(wide)), "ds": days, "y": values.T.ravel()})


def as_forecasts(made: pd.DataFrame, nodes: pd.DataFrame, peer: str, cutoff: pd.Timestamp) -> pd.DataFrame:
    """A library's table (`unique_id`, `ds`, mean, `lo-80` …) as rows of `COLUMNS`; nothing below zero; the median is the mean."""
    column = next(c for c in made.columns if c not in ("unique_id", "ds") and "-lo-" not in c and "-hi-" not in c)
    out = made[["unique_id", "ds"]].merge(nodes, on="unique_id", how="left", validate="m:1").rename(columns={"ds": "date"})
    numbers = {"mean": made[column], "q50": made[column]} | {name: made[f"{column}-{end}"] for name, end in QUANTILES.items()}
    for name, values in numbers.items():
        out[name] = np.maximum(values.to_numpy(float), 0.0)
    return out.assign(model=peer, cutoff=cutoff)[COLUMNS]


def statistical(name: str, **settings: Any) -> Callable[[Long, pd.DataFrame, str], pd.DataFrame]:
    """A model of statsforecast by its name."""

    def forecast(long: Long, nodes: pd.DataFrame, country: str) -> pd.DataFrame:
        import statsforecast
        from statsforecast import models

        made = statsforecast.StatsForecast(models=[getattr(models, name)(**settings)], freq="D", n_jobs=CORES)
        result: pd.DataFrame = made.forecast(df=long, h=HORIZON, level=list(INTERVALS))
        return result

    return forecast


def lgbm(long: Long, nodes: pd.DataFrame, country: str) -> pd.DataFrame:
    """LightGBM through mlforecast: lags and rolling means, Tweedie likelihood, conformal intervals."""
    import lightgbm
    import mlforecast
    from mlforecast import lag_transforms as past
    from mlforecast.utils import PredictionIntervals

    length = long["unique_id"].value_counts().min()
    lags = [1, 7, 14, 21, 28, 35]
    if length > 364 + 4 * HORIZON + 60:  # with the conformal windows a shorter history would leave no rows
        lags.append(364)
    booster = lightgbm.LGBMRegressor(
        objective="tweedie", tweedie_variance_power=1.1, n_estimators=300, learning_rate=0.05, num_leaves=63, min_child_samples=100,
        subsample=0.8, subsample_freq=1, colsample_bytree=0.8, n_jobs=CORES, verbosity=-1, seed=0,
    )  # fmt: skip
    recent = [past.RollingMean(7), past.RollingMean(28), past.RollingMean(91), past.ExponentiallyWeightedMean(0.1)]
    model = mlforecast.MLForecast(
        models={"LGBM": booster}, freq="D", lags=lags, lag_transforms={1: recent, 7: [past.RollingMean(28)], 28: [past.RollingMean(28)]},
        date_features=["dayofweek", "dayofyear", "month"], num_threads=CORES,
    )  # fmt: skip
    named = long.merge(nodes, on="unique_id").astype({"district": "category", "category": "category"})
    model.fit(named, static_features=["district", "category"], prediction_intervals=PredictionIntervals(n_windows=3, h=HORIZON))
    made: pd.DataFrame = model.predict(HORIZON, level=list(INTERVALS))
    return made


def prophet(long: Long, nodes: pd.DataFrame, country: str) -> pd.DataFrame:
    """Prophet with weekly and yearly seasons and the country's holidays, a fit a node."""
    groups = [(uid, group[["ds", "y"]], country) for uid, group in long.groupby("unique_id")]
    with ProcessPoolExecutor(CORES, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pd.concat(pool.map(_one_prophet, *zip(*groups, strict=True), chunksize=8), ignore_index=True)


def _one_prophet(uid: str, history: pd.DataFrame, country: str) -> pd.DataFrame:
    import cmdstanpy  # noqa: F401 - its logger must be there before it is silenced
    from prophet import Prophet

    for name in ("cmdstanpy", "prophet"):
        logging.getLogger(name).disabled = True
    warnings.filterwarnings("ignore")
    np.random.seed(0)  # noqa: NPY002 - Prophet draws from numpy's global stream
    model = Prophet(weekly_seasonality=True, yearly_seasonality=True, daily_seasonality=False, uncertainty_samples=SAMPLES)
    if country != "none":
        model.add_country_holidays(country)
    model.fit(history)
    future = model.make_future_dataframe(HORIZON, include_history=False)
    made = {"unique_id": uid, "ds": future["ds"], "Prophet": model.predict(future)["yhat"].to_numpy()}
    drawn = model.predictive_samples(future)["yhat"]
    for interval in INTERVALS:
        made[f"Prophet-lo-{interval}"], made[f"Prophet-hi-{interval}"] = np.percentile(drawn, [50 - interval / 2, 50 + interval / 2], axis=1)
    return pd.DataFrame(made)


PEERS: dict[str, Callable[[Long, pd.DataFrame, str], pd.DataFrame]] = {
    "SeasonalNaive": statistical("SeasonalNaive", season_length=7),
    "AutoETS": statistical("AutoETS", season_length=7),
    "DynamicOptimizedTheta": statistical("DynamicOptimizedTheta", season_length=7),
    "MSTL": statistical("MSTL", season_length=[7, 365]),
    "LGBM": lgbm,
    "Prophet": prophet,
}


def main(counts: Path, out: Path, peer: str, country: str, cutoffs: list[str]) -> None:
    """Forecasts all cutoffs and writes one table; nothing is written unless all could be made."""
    warnings.filterwarnings("ignore")
    table = pd.read_parquet(counts).astype({"district": str, "category": str})
    parts = []
    for cutoff in pd.to_datetime(cutoffs):
        nodes, long = table_of(table, cutoff)
        parts.append(as_forecasts(PEERS[peer](long, nodes, country), nodes, peer, cutoff))
        print(peer, f"{cutoff:%Y-%m-%d}", file=sys.stderr, flush=True)
    pd.concat(parts, ignore_index=True).to_parquet(out, index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], sys.argv[4], sys.argv[5:])
