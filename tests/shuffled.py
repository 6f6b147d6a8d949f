"""A candidate that looks well and is not: a booster whose nodes are told one another's features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from forecasting.models.base import Known
from forecasting.models.boosting import Boosting


@dataclass(frozen=True)
class _Shuffled:
    """A fitted booster whose nodes are told one another's features."""

    inner: Any

    def forecast(self, known: Known, horizon: int) -> np.ndarray:
        made = self.inner.forecast(known, horizon)
        return np.asarray(made[np.random.default_rng(1).permutation(len(made))])

    def save(self, folder: Path) -> None:
        self.inner.save(folder)


@dataclass(frozen=True)
class Shuffled(Boosting):
    """A small booster, its features shuffled among the nodes."""

    name: ClassVar[str] = "shuffled"
    rows: int = 3000
    trees: int = 12
    leaves: int = 7
    least_rows: int = 10
    threads: int = 1

    def fit(self, known: Known, horizon: int, seed: int) -> Any:
        return _Shuffled(super().fit(known, horizon, seed))
