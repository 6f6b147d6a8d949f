"""The gate's power is measured on what it is asked about: candidates that are as good over all nights, and worse by a share that was chosen."""

import numpy as np
import pandas as pd
import pytest
import tables
import yaml

from experiments import night
from experiments.benchmarks import gate_power
from experiments.night import Night
from forecasting import panel, recipe
from forecasting.hierarchy import Tree
from forecasting.models.base import Known


@pytest.fixture(scope="module")
def nights() -> list[tuple[Night, dict[str, Night]]]:
    """Two nights: as `another seed` the same again, as `fewer members` a recipe that repeats the last week."""
    known = Known(panel.from_counts(tables.counts(tables.tickets(200))), Tree(), Tree(), None, "none")
    quick, poor = (
        recipe.from_mapping(one) for one in (yaml.safe_load(tables.QUICK) | {"windows": 6}, {"windows": 6, "members": {"seasonal_naive": None}})
    )
    made = []
    for cutoff in (known.panel.days[-8], known.panel.days[-1]):
        then = known.at(cutoff)
        champion = night.train(then, quick, 7)
        other = night.train(then, poor, 7, yardstick=champion.yardstick)
        made.append((champion, dict(zip(gate_power.CANDIDATES, (champion, other), strict=True))))
    return made


def test_what_is_as_good_passes_and_what_is_worse_everywhere_is_refused(nights: list[tuple[Night, dict[str, Night]]]) -> None:
    rows = pd.DataFrame(gate_power.judged(nights))
    same = rows[rows["candidate"] == gate_power.CANDIDATES[0]]
    assert same.groupby("worse")["refused"].mean().to_dict() == {worse: float(worse > 0.01) for worse in gate_power.WORSE}
    assert (rows.groupby(["candidate", "worse"]).size() == 2 * len(nights)).all(), "each pair in both orders"
    table = gate_power.shares(rows)
    assert table["another seed: refused"].tolist() == ["0%", "0%", *["100%"] * 5]


def test_another_recipe_is_as_good_over_all_nights_once_it_is_scaled(nights: list[tuple[Night, dict[str, Night]]]) -> None:
    pairs = [(candidates["fewer members"], champion) for champion, candidates in nights]

    def rises(factors: pd.Series) -> pd.Series:
        scaled = [(gate_power.times(candidate, factors), champion) for candidate, champion in pairs]
        return pd.DataFrame([{check.name: check.measured for check in gate_power.against(*pair)} for pair in scaled]).mean()

    as_trained = rises(pd.Series(1.0, index=list(gate_power.CHECKS)))
    assert (as_trained > 0.02).all(), "else nothing is tested"
    np.testing.assert_allclose(rises(1.05 / (1 + as_trained)), 0.05, atol=1e-9)
