"""What each member of the blend, and each group of features, is worth: the champion without it, on the same cutoffs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from experiments import recipes
from experiments.benchmarks.accuracy import product
from experiments.benchmarks.panels import Panel
from experiments.benchmarks.runs import ROOT, Run
from forecasting import features
from forecasting.models.boosting import Boosting
from forecasting.recipe import MODELS

PANELS = ("boston-311-pest", "chicago-burglary-2011-14", "city-0.1")  # unless others are chosen: two real ones of middle size, one with drivers


def default_recipe() -> dict[str, Any]:
    """The default recipe as its file has it."""
    recipe: dict[str, Any] = yaml.safe_load((ROOT / "experiments" / "configs" / recipes.DEFAULT).read_text("utf-8"))
    return recipe


def variants(recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The recipe without each member of the blend in turn, and its booster without each group of features in turn, by name.

    What is there to be compared with has no part in the blend, and stays.
    """
    members: Mapping[str, Any] = recipe["members"]
    found = {}
    for name in members:
        if not MODELS[name].reference:
            found[f"without {name}"] = {**recipe, "members": {other: members[other] for other in members if other != name}}
    if Boosting.name in members:
        for group in features.GROUPS:
            settings = {**(members[Boosting.name] or {}), "without": [group]}
            found[f"without {group}"] = {**recipe, "members": {**members, Boosting.name: settings}}
    return found


def runs_of(panel: Panel, work: Path) -> list[tuple[str, Run]]:
    """The champion's run, then one of each variant, whose recipe is written below `work/recipes`."""
    made = [("champion", product.backtest_run(panel, "champion", "champion", work))]
    folder = work / "recipes"
    folder.mkdir(parents=True, exist_ok=True)
    for name, recipe in variants(default_recipe()).items():
        path = folder / f"{name.replace(' ', '-')}.yaml"
        path.write_text(yaml.safe_dump(recipe, sort_keys=False), "utf-8")
        made.append((name, product.backtest_run(panel, "champion", name, work, path)))
    return made
