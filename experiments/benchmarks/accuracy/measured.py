"""What is left of forecasts when they have been scored: enough for every bar and table, small enough to be kept in the repository."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import pandas as pd

from experiments.benchmarks import kept, panels
from experiments.benchmarks.accuracy import calibration, floor, scores
from experiments.benchmarks.panels import Facts, Panel
from forecasting.recipe import CHAMPION


@dataclass(frozen=True)
class Measured:
    """What models reached on a panel, a row per model and more.

    Attributes:
        sums: `metrics.SUMS` by `model`, `level`, `cutoff`; the average of two, the generator and hindsight are models as well.
        heating: `floor.heating` by `model`; of simulated panels.
        transforms: `calibration.transform` by `model`, `group`, `cutoff`; of the champion.
    """

    sums: pd.DataFrame
    heating: pd.DataFrame
    transforms: pd.DataFrame

    @property
    def models(self) -> set[str]:
        """Those that are scored."""
        return set(self.sums.index.get_level_values("model"))

    def __add__(self, other: "Measured") -> "Measured":
        """The rows of both."""
        parts = {field.name: (getattr(self, field.name), getattr(other, field.name)) for field in fields(self)}
        return Measured(**{name: both[0] if both[1].empty else both[1] if both[0].empty else pd.concat(both) for name, both in parts.items()})

    def without(self, models: set[str]) -> "Measured":
        """The rows of other models."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        return Measured(**{name: rows[~rows.index.get_level_values("model").isin(list(models))] for name, rows in parts.items()})

    def sorted(self) -> "Measured":
        """The same rows in the order of their index."""
        return Measured(*(getattr(self, field.name).sort_index() for field in fields(self)))


INDEX = {"sums": ["model", "level", "cutoff"], "heating": ["model"], "transforms": ["model", "group", "cutoff"]}
NOTHING = Measured(*(pd.DataFrame(index=pd.MultiIndex.from_arrays([[]] * len(names), names=names)) for names in INDEX.values()))


def measure(panel: Panel, frames: Mapping[str, pd.DataFrame], truth: pd.DataFrame) -> Measured:
    """Scores forecasts, and what can be derived from them.

    Args:
        frames: model -> forecasts of the same nodes and days.
        truth: see `scores.truth_of`.
    """
    if not frames:
        return NOTHING
    derived = scores.with_average(frames)
    if panel.rates:
        derived[floor.FLOOR] = floor.forecasts(panel, next(iter(frames.values())))
    elif CHAMPION in frames:
        derived[floor.HINDSIGHT] = floor.hindsight(frames[CHAMPION], truth)
    heat = floor.heating(dict(frames), truth) if panel.rates else {}
    made = {"sums": scores.summed(derived, truth)}
    if heat:
        made["heating"] = pd.DataFrame(heat).T.rename_axis("model")
    if CHAMPION in frames:
        made["transforms"] = pd.concat({CHAMPION: calibration.transform(frames[CHAMPION], truth)}, names=["model"])
    return Measured(**{field.name: made.get(field.name, getattr(NOTHING, field.name)) for field in fields(Measured)})


def read(folder: Path, wanted: Mapping[str, str]) -> Measured:
    """The kept results of certain runs.

    Args:
        wanted: model -> fingerprint, of runs and of what is derived from them.
    """
    found = {name: kept.table(folder, name, wanted) for name in INDEX}
    return Measured(**{name: getattr(NOTHING, name) if rows is None else rows.set_index(INDEX[name]) for name, rows in found.items()})


def tables(measured: Measured) -> dict[str, pd.DataFrame]:
    """The same as plain tables, to be kept."""
    return {name: getattr(measured, name).reset_index() for name in INDEX}


def about(panel: Panel) -> dict[str, str]:
    """What a panel's results were measured on."""
    return {"definition": panels.definition(panel.name)} | {name: str(value) for name, value in asdict(panel.facts).items()}


def facts(folder: Path) -> Facts | None:
    """What is known of a panel by what is kept of it."""
    said = kept.about(folder)
    return Facts(said["fingerprint"], int(said["series"]), said["first"], said["last"], int(said["tickets"])) if said else None


def panel_of(name: str, work: Path, folder: Path) -> Panel | None:
    """A panel by its files, or by what is kept of it while it is made as it was then."""
    if (there := panels.laid(name, work)) is not None:
        return there
    known = facts(folder)
    return panels.told(name, work, known) if known and kept.about(folder)["definition"] == panels.definition(name) else None
