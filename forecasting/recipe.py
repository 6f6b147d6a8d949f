"""A model recipe: which members, with which settings, weighed how. One YAML file describes one."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

from forecasting.errors import InputError
from forecasting.models.base import Model
from forecasting.models.baselines import FourWeekMean, SeasonalNaive, UsualWeeks
from forecasting.models.boosting import Boosting
from forecasting.models.loglinear import Loglinear
from forecasting.models.prophet_model import ProphetModel

MODELS: dict[str, type[Any]] = {model.name: model for model in (SeasonalNaive, FourWeekMean, UsualWeeks, ProphetModel, Loglinear, Boosting)}
"""Every model, by its name. A new one is added here, and the conformance tests run over it."""

CHAMPION = "champion"

MOST = 1e9  # no setting is sensibly greater, and all libraries take numbers of this size


@dataclass(frozen=True)
class Recipe:
    """What is decided before anything is learnt.

    Attributes:
        members: the models of the blend, baselines among them.
        windows: windows of the members' backtest, from which weights and dispersion are learnt.
        shrink: how strongly weights are drawn towards equal ones; see `blend.weights`.
    """

    members: tuple[Model, ...]
    windows: int = 3
    shrink: float = 0.3

    def settings(self) -> dict[str, Any]:
        """All settings in one flat mapping, as a run records them."""
        flat: dict[str, Any] = {"windows": self.windows, "shrink": self.shrink, "members": ",".join(m.name for m in self.members)}
        for member in self.members:
            flat |= {f"{member.name}.{key}": value for key, value in member.settings().items()}
        return flat

    def mapping(self) -> dict[str, Any]:
        """The recipe as plain values, from which `from_mapping` builds the same: equal recipes have equal mappings."""
        return {"windows": self.windows, "shrink": self.shrink, "members": {member.name: _settings(member) for member in self.members}}


def from_mapping(mapping: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Builds a recipe from what a YAML file says.

    Args:
        mapping: `members` (name -> settings) and optional `windows`, `shrink`.
        where: the file, for errors.

    Raises:
        InputError: an unknown key, model or setting, a value of the wrong kind or out of range, or no baseline among the members.
    """
    unknown = set(mapping) - {"members", "windows", "shrink"}
    if unknown:
        raise InputError(f"unknown key '{min(map(str, unknown))}'", where, "a recipe has members, windows and shrink")
    members = mapping.get("members")
    if not isinstance(members, Mapping) or not members:
        raise InputError("no members", where, f"name some of {', '.join(MODELS)}")
    built = tuple(_model(str(name), {} if settings is None else settings, where) for name, settings in members.items())
    if all(model.least_days for model in built):
        raise InputError("no baseline among the members", where, "add four_week_mean: a new series needs one")
    windows = _number(mapping.get("windows", Recipe.windows), int, f"{where}: windows")
    shrink = _number(mapping.get("shrink", Recipe.shrink), float, f"{where}: shrink")
    if not 1 <= windows <= 26:
        raise InputError(f"windows is {windows}", where, "choose 1 to 26")
    if shrink < 0:
        raise InputError(f"shrink is {shrink}", where, "choose 0 or more")
    return Recipe(built, windows, shrink)


def _settings(member: Model) -> dict[str, Any]:
    """What a member was built from, as a recipe file says it."""
    values: dict[str, Any] = {f.name: getattr(member, f.name) for f in fields(member)} if is_dataclass(member) else {}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def _model(name: str, settings: Any, where: str) -> Model:
    if name not in MODELS:
        raise InputError(f"unknown model '{name}'", where, f"choose from {', '.join(MODELS)}")
    if not isinstance(settings, Mapping):
        raise InputError(f"the settings of '{name}' are no mapping", where, "write them as name: value lines")
    kind = MODELS[name]
    known = {f.name: f.default for f in fields(kind)} if hasattr(kind, "__dataclass_fields__") else {}
    for key in settings:
        if key not in known:
            allowed = ", ".join(known) or "none"
            raise InputError(f"'{name}' has no setting '{key}'", where, f"it has: {allowed}")
    limits = getattr(kind, "limits", {})
    choices = getattr(kind, "choices", {})
    values = {
        key: _names(value, choices[key], f"{where}: {name}.{key}")
        if key in choices
        else _number(value, type(known[key]), f"{where}: {name}.{key}", *limits.get(key, ()))
        for key, value in settings.items()
    }
    model: Model = kind(**values)
    return model


def _names(value: Any, choices: tuple[str, ...], where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not set(map(str, value)) <= set(choices):
        raise InputError(f"'{value}' does not fit", where, f"give a list of some of {', '.join(choices)}")
    return tuple(map(str, value))


def _number(value: Any, kind: type, where: str, least: float = 0, most: float = MOST) -> Any:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    if not plain or not least <= value <= most or (kind is int and not float(value).is_integer()):
        range_ = f"of {least:g} or more" if most == MOST else f"from {least:g} to {most:g}"
        raise InputError(f"'{value}' does not fit", where, f"give a {'whole ' if kind is int else ''}number {range_}")
    return kind(value)
