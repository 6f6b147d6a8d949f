"""Recipes as YAML files."""

from importlib import resources
from pathlib import Path

import yaml

from forecasting import recipe
from forecasting.errors import InputError
from forecasting.recipe import Recipe

DEFAULT = "champion.yaml"


def load(path: Path | None = None) -> Recipe:
    """Reads a recipe; without a path the default one.

    Raises:
        InputError: no such file, no YAML, or not a recipe.
    """
    where = str(path) if path else DEFAULT
    try:
        text = path.read_text("utf-8") if path else (resources.files("experiments") / "configs" / DEFAULT).read_text("utf-8")
        content = yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where, "give the path of a YAML recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"is no YAML: {str(error).splitlines()[0]}", where, "see experiments/configs for an example") from None
    if not isinstance(content, dict):
        raise InputError("is no recipe", where, "see experiments/configs for an example")
    return recipe.from_mapping(content, where)
