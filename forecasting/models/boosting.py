"""Panel-wide gradient boosting: one LightGBM for every node, direct in the horizon, count likelihood with the recent level as offset.

LightGBM: Ke et al. 2017. One model over many series and horizons ("global", "direct"): Montero-Manso & Hyndman 2021. The Poisson
likelihood with weights 1 / (1 + phi * level) is the quasi-likelihood of a count whose variance is mean + phi * mean².
"""

import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import lightgbm
import numpy as np

from forecasting import features
from forecasting.models.base import Known, NoOpinion

CHUNK = 200_000  # rows whose features are computed at once when forecasting: bounds memory
EARLIEST_ORIGIN = 56  # days of history before the first origin learnt from: the window of the level


@dataclass(frozen=True)
class FittedBoosting:
    """A booster, the names of the features it was given, and the codes it has learnt."""

    booster: lightgbm.Booster
    names: tuple[str, ...]
    codes: dict[str, dict[str, int]]

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        origin = len(known.panel.days) - 1
        out = np.empty((len(known.hierarchy.nodes), horizon))
        step = max(1, CHUNK // len(out))
        for start in range(0, horizon, step):
            ahead = np.arange(start + 1, min(start + step, horizon) + 1)
            table = features.compute(known, np.full(len(ahead), origin), ahead, self.codes)
            columns = [table.names.index(name) for name in self.names]
            raw = self.booster.predict(table.values[:, columns], raw_score=True).reshape(table.level.shape)
            out[:, ahead - 1] = np.exp(raw) * table.level
        return out

    @classmethod
    def load(cls, folder: Path) -> "FittedBoosting":
        """Reads what `save` wrote."""
        learnt = json.loads((folder / "codes.json").read_text("utf-8"))
        return cls(lightgbm.Booster(model_file=folder / "booster.txt"), tuple(learnt["features"]), learnt["codes"])

    def save(self, folder: Path) -> None:
        self.booster.save_model(folder / "booster.txt")
        learnt = {"features": self.names, "codes": self.codes}
        (folder / "codes.json").write_text(json.dumps(learnt, ensure_ascii=False, sort_keys=True, indent=1), "utf-8")


@dataclass(frozen=True)
class Boosting:
    """Settings of the panel-wide booster.

    Attributes:
        rows: about how many (node, origin, day ahead) to learn from; more is slower and, beyond some hundred thousand, hardly better.
        phi: dispersion in the weights; see the module.
        trees, rate, leaves, least_rows, columns, shrink: LightGBM's num_iterations, learning_rate, num_leaves, min_data_in_leaf,
            feature_fraction, lambda_l2.
        threads: OpenMP threads.
        without: groups of features that it is not given; see `features.GROUPS`.
    """

    rows: int = 200_000
    phi: float = 0.02
    trees: int = 300
    rate: float = 0.05
    leaves: int = 31
    least_rows: int = 100
    columns: float = 0.5
    shrink: float = 10.0
    threads: int = 2
    without: tuple[str, ...] = ()

    limits: ClassVar[dict[str, tuple[float, float]]] = {
        "rows": (1, 1e8),
        "trees": (1, 1e5),
        "rate": (1e-4, 1),
        "leaves": (2, 131_072),
        "columns": (0.01, 1),
        "threads": (1, 1024),
    }
    """What LightGBM takes, setting by setting; others are 0 or more."""
    choices: ClassVar[dict[str, tuple[str, ...]]] = {"without": tuple(features.GROUPS)}
    """What a list of names may hold, setting by setting."""
    name: ClassVar[str] = "boosting"
    reference: ClassVar[bool] = False
    fitted: ClassVar[type[FittedBoosting]] = FittedBoosting
    least_days: ClassVar[int] = 140  # the level's window and three months to learn from
    ages: ClassVar[bool] = False

    def fit(self, known: Known, horizon: int, seed: int) -> FittedBoosting | NoOpinion:
        nodes = known.hierarchy.nodes
        codes = {kind: {code: i for i, code in enumerate(sorted(nodes[kind].unique()))} for kind in ("area", "category")}
        codes["holiday"] = {code: i for i, code in enumerate(sorted(known.calendar(horizon)["holiday"].unique()))}
        origins, ahead = _pairs(len(known.panel.days), horizon, max(self.rows // len(nodes), horizon), np.random.default_rng(seed))
        table = features.compute(known, origins, ahead, codes)
        y = features.target(known, origins, ahead).ravel()
        level = table.level.ravel()
        use = ~np.isnan(y)
        if not (y[use] > 0).any():
            return NoOpinion()  # a count likelihood cannot be fitted to zeros alone
        given = [j for j, name in enumerate(table.names) if features.group(name) not in self.without]
        names = tuple(table.names[j] for j in given)
        data = lightgbm.Dataset(
            table.values[np.ix_(use, given)],
            label=y[use],
            weight=1.0 / (1.0 + self.phi * level[use]),
            init_score=np.log(level[use]),
            feature_name=[re.sub(r"\W", "_", name) for name in names],  # a driver may have any name, the library's columns not
            categorical_feature=[names.index(name) for name in features.CATEGORICAL if name in names],
            free_raw_data=True,
        )
        parameters = {
            "objective": "poisson", "boost_from_average": False, "learning_rate": self.rate, "num_leaves": self.leaves,
            "min_data_in_leaf": self.least_rows, "feature_fraction": self.columns, "lambda_l2": self.shrink, "bagging_fraction": 0.8,
            "bagging_freq": 1, "cat_smooth": 50.0, "cat_l2": 50.0, "max_bin": 127, "num_threads": self.threads, "seed": seed,
            "deterministic": True, "force_col_wise": True, "verbosity": -1,
        }  # fmt: skip
        return FittedBoosting(lightgbm.train(parameters, data, num_boost_round=self.trees), names, codes)

    def settings(self) -> dict[str, Any]:
        return asdict(self) | {"without": ",".join(self.without)}


def _pairs(n_days: int, horizon: int, wanted: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Origins and days ahead to learn from, spread evenly over both: arrays [P], every day meant is known."""
    first, last = EARLIEST_ORIGIN, n_days - 2
    ahead = np.resize(rng.permutation(min(horizon, last - first + 1)) + 1, wanted)
    span = last - first + 1 - (ahead - 1)
    origins = first + np.floor((np.arange(wanted) + rng.random(wanted)) / wanted * span).astype(int)
    pairs = np.unique(np.stack([origins, ahead]), axis=1)
    return pairs[0], pairs[1]
