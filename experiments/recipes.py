"""Recipes as YAML files."""

from collections.abc import Hashable
from importlib import resources
from pathlib import Path
from typing import Any

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
        content = yaml.load(text, _Loader)  # a safe loader
    except OSError as error:
        raise InputError(f"cannot be read: {error.strerror}", where, "give the path of a YAML recipe") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"is no YAML: {_reason(error)}", where, "see experiments/configs for an example") from None
    if not isinstance(content, dict):
        raise InputError("is no recipe", where, "see experiments/configs for an example")
    return recipe.from_mapping(content, where)


class _Loader(yaml.SafeLoader):
    """Plain values only, and no key twice: the second one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        names = [key.value for key, _ in node.value]
        for i, name in enumerate(names):
            if name in names[:i]:
                raise yaml.constructor.ConstructorError(None, None, f"'{name}' stands there twice", node.value[i][0].start_mark)
        return super().construct_mapping(node, deep)


def _reason(error: yaml.YAMLError | UnicodeDecodeError) -> str:
    """What is wrong and in which line, in one line."""
    mark = getattr(error, "problem_mark", None)
    return f"{getattr(error, 'problem', None)} in line {mark.line + 1}" if mark else str(error).splitlines()[0]
