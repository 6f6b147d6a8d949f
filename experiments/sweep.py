"""A sweep: the recipes that a grid of settings makes of one."""

from itertools import product
from pathlib import Path
from typing import Any

import yaml

from experiments import recipes
from experiments.trials import Trial
from forecasting import recipe
from forecasting.errors import InputError
from forecasting.recipe import Recipe

BASE = "base"
COMBINATIONS = 64  # each is a backtest of its own: more take days, and the best of so many is the luckiest
EXAMPLE = "see experiments/configs/examples/sweep.yaml"


def load(path: Path, base: Recipe, label: str) -> list[Trial]:
    """The base and every combination of the values of a grid, the last parameter changing fastest; what says the same as the base is left out.

    Args:
        path: YAML with `sweep`: parameter -> list of values; a parameter is written as a run records it, `shrink` or `boosting.trees`.
        base: what has every other setting.
        label: of the base.

    Raises:
        InputError: no such file, no YAML or no grid; an unknown parameter, a value that does not fit or stands there twice; too many combinations.
    """
    grid = _grid(path)
    number = 1
    for choices in grid.values():
        number *= len(choices)
    if number > COMBINATIONS:
        raise InputError(f"{number} combinations", str(path), f"at most {COMBINATIONS} fit in a sweep: name fewer values, or make two of it")
    plain = base.mapping()
    trials = [Trial(BASE, label, base)]
    for values in product(*grid.values()):
        changed = dict(zip(grid, values, strict=True))
        made = recipe.from_mapping(_with(plain, changed, path), str(path))
        if made.mapping() != plain:
            text = " ".join(f"{name}={value}" for name, value in changed.items())
            trials.append(Trial(f"{len(trials):02d}", text, made, changed))
    if len(trials) == 1:
        raise InputError("the grid has the base's own values alone", str(path), "name others")
    return trials


def _grid(path: Path) -> dict[str, list[Any]]:
    """What stands under `sweep`, checked for its form."""
    where = str(path)
    try:
        # The recipe's own reader takes no key twice.
        content = yaml.load(path.read_text("utf-8"), recipes._Loader)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where, "give the path of a YAML grid") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"is no YAML: {recipes._reason(error)}", where, EXAMPLE) from None
    if not isinstance(content, dict) or set(content) != {"sweep"}:
        raise InputError("is no grid: it has `sweep` and nothing else", where, EXAMPLE)
    grid = content["sweep"]
    if not isinstance(grid, dict) or not grid:
        raise InputError("the grid is empty", where, EXAMPLE)
    for name, values in grid.items():
        if not isinstance(values, list) or not values:
            raise InputError(f"'{name}' has no list of values", where, "write it as boosting.trees: [150, 300]")
        if any(value in values[:i] for i, value in enumerate(values)):
            raise InputError(f"'{name}' has a value twice", where, "name each once")
    return {str(name): values for name, values in grid.items()}


def _with(plain: dict[str, Any], changed: dict[str, Any], path: Path) -> dict[str, Any]:
    """A copy of a recipe's mapping with some parameters set. InputError for a parameter that the recipe does not have."""
    made = {**plain, "members": {name: dict(settings) for name, settings in plain["members"].items()}}
    for name, value in changed.items():
        member, _, setting = name.partition(".")
        if not setting and name in plain and name != "members":
            made[name] = value
        elif setting and setting in made["members"].get(member, {}):
            made["members"][member][setting] = value
        else:
            known = [key for key in plain if key != "members"]
            known += [f"{model}.{key}" for model, settings in plain["members"].items() for key in settings]
            raise InputError(f"unknown parameter '{name}'", str(path), f"the base recipe has {', '.join(known)}")
    return made
