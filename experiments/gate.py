"""The gate: whether the forecasts of a night may go live, check by check, each with what was measured and the limit.

Accuracy is judged on the windows of the night's own backtest, paired: a bootstrap over windows (Künsch 1989: whole blocks of days, for errors of
one window go together) says what is noise. The windows of a short history overlap; then no more of them are drawn than it has room for.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from experiments.night import Night
from forecasting.detection import evidence, excess
from forecasting.forecast_set import COLUMNS
from forecasting.recipe import CHAMPION

GAP = 1e-6  # tickets by which a sum may miss its parts: the contract; rounding alone makes some 1e-10
TOLERANCE = 0.01  # by which a score may be worse whatever the noise: less than members are worth, and than one window more or less changes
BASELINE_TOLERANCE = 0.03  # ... beside a baseline: where tickets are mere chance about a steady week, learning more than that costs 1 %
FEW_WINDOWS = 3  # side by side; below so many nobody can tell noise ...
FEW_TOLERANCE = 0.1  # ... and only a tenth is certainly worse: a single window of 28 days moves scores by some hundredths
DRAWS, DOUBT = 2000, 0.05  # of the bootstrap; and the share of them that may say the contrary
TOO_NARROW = {80: 0.68, 90: 0.80}  # of days inside the interval: what alerts and planners rest on is off by half as many surprises again
TOO_WIDE = {80: 0.95}  # of large counts, where whole numbers are no excuse: such an interval says nothing
LARGE = 30.0  # tickets a day from which on counts are large: an 80 % interval of Poisson counts covers at most 83 % there
SURE = 2.0  # standard deviations of a share of days that are left to chance
RECENT = 28  # days that coming totals are compared with, and as many of those that come
# As many, or as few, tickets as of late. Four weeks of tickets in four real slices were at most twice those before, but once: sanitation after the
# Chicago blizzard of 2011, fivefold. A forecast that says so is worth a look.
MOST_TIMES = 2.5
MOST_ALERTS = 3.0  # times the budget of false alerts, in the last weeks: there are true ones among them


@dataclass(frozen=True)
class Check:
    """One thing that the gate looks at.

    Attributes:
        name: see `gate_note.NAMES`.
        measured, limit: in the unit of the check.
        at_least: whether `limit` is the least allowed; else the most.
        where: the level at which it is nearest to (or farthest beyond) its limit; may be empty.
        vital: whether it must hold even of the recipe that serves, or where nothing is served yet: a city is better off with poor forecasts
            than with old ones or none, but not with broken ones.
    """

    name: str
    measured: float
    limit: float
    at_least: bool = False
    where: str = ""
    vital: bool = False

    @property
    def passed(self) -> bool:
        """Whether it holds; what cannot be measured does not."""
        return bool(self.measured >= self.limit if self.at_least else self.measured <= self.limit)

    def told(self) -> dict[str, Any]:
        """As plain values, for the record: numbers rounded, and null where nothing could be measured."""
        numbers = {key: float(f"{value:.6g}") if np.isfinite(value) else None for key, value in (("measured", self.measured), ("limit", self.limit))}
        return {**asdict(self), **numbers, "passed": self.passed}


def judge(night: Night, champion: Night | None, budget: float) -> list[Check]:
    """All checks of a night.

    Args:
        night: the candidate.
        champion: the night of the recipe that is served, refitted on the same data; None: the candidate is made by the same recipe, or nothing
            is served. Both are compared on the windows that both have, and measured by one yardstick.
        budget: expected false alerts a day.

    Returns:
        the checks; those of accuracy are left out where the history is too short for a backtest.

    Raises:
        ValueError: the two are measured by different yardsticks.
    """
    if champion is not None and champion.yardstick != night.yardstick:
        raise ValueError("scores by different yardsticks cannot be compared: train the second night with the first one's")
    means, faults = _laid_out(night)
    found = [Check("complete", float(faults), 0.0, vital=True), Check("coherent", _gap(night, means), GAP, vital=True), _totals(night, means)]
    if not night.windows.empty:
        if champion is not None and not champion.windows.empty:
            found += _against_champion(night, champion)
        found += [*_against_baselines(night, champion), *_coverage(night)]
    if night.evidence.size:
        found.append(_alerts(night, budget))
    return found


def passed(checks: Sequence[Check]) -> bool:
    """Whether all hold."""
    return all(check.passed for check in checks)


def sound(checks: Sequence[Check]) -> bool:
    """Whether the vital ones hold."""
    return all(check.passed for check in checks if check.vital)


def _laid_out(night: Night) -> tuple[np.ndarray, int]:
    """Means [M, H] of the nodes that are to be forecast, NaN where there is none; and the number of rows and numbers that are missing or wrong."""
    nodes, horizon = night.champion.backtested.known.hierarchy.nodes, night.champion.backtested.horizon
    frame = night.forecast_set.frame
    row = pd.MultiIndex.from_frame(nodes[["area", "category"]]).get_indexer(pd.MultiIndex.from_frame(frame[["area", "category"]]))
    day = frame["horizon"].to_numpy(int) - 1
    due = night.champion.backtested.known.cutoff + pd.to_timedelta(frame["horizon"], unit="D")
    numbers = frame[[*COLUMNS[4:6]]].to_numpy(float)
    right = (row >= 0) & (day >= 0) & (day < horizon) & (pd.to_datetime(frame["date"]) == due).to_numpy()
    right &= (np.isfinite(numbers) & (numbers >= 0)).all(axis=1)
    means, times = np.full((len(nodes), horizon), np.nan), np.zeros((len(nodes), horizon), int)
    np.add.at(times, (row[right], day[right]), 1)
    means[row[right], day[right]] = numbers[right, 0]
    beside = sum(int((~np.isfinite(table.select_dtypes("number").to_numpy(float))).sum()) for table in (night.outlook, night.standing))
    return means, int((~right).sum() + np.abs(times - 1).sum()) + beside


def _gap(night: Night, means: np.ndarray) -> float:
    """By how many tickets a node's mean misses the sum of what is below it, at most; infinite where a mean is missing."""
    hierarchy = night.champion.backtested.known.hierarchy
    gaps = np.abs(hierarchy.total(means[: hierarchy.n_series]) - means)
    return float(np.where(np.isnan(gaps), np.inf, gaps).max(initial=0.0))


def _totals(night: Night, means: np.ndarray) -> Check:
    """How many times as many tickets of the city are forecast as came of late, or as few."""
    known = night.champion.backtested.known
    city = (known.hierarchy.nodes["level"] == "city").to_numpy()
    came = known.counts[city, -RECENT:] if city.any() else known.counts[:, -RECENT:].sum(axis=0, keepdims=True)
    recent = came[~np.isnan(came)].mean() if (~np.isnan(came)).any() else np.nan
    ahead = (means[city] if city.any() else means)[:, :RECENT].sum(axis=0).mean()
    if np.isnan(recent):
        return Check("totals", 1.0, MOST_TIMES)  # nothing came of late that could be compared with
    ratio = (ahead + 1.0) / (recent + 1.0)
    return Check("totals", float(max(ratio, 1.0 / ratio)) if ratio > 0 else np.nan, MOST_TIMES, where="city")


@dataclass(frozen=True)
class _Blocks:
    """Sums of one model by level and window: [L, W] each, the windows being those of `origins`."""

    levels: tuple[str, ...]
    sums: dict[str, np.ndarray]

    @classmethod
    def of(cls, night: Night, model: str, origins: Sequence[int]) -> "_Blocks":
        mine = night.windows[(night.windows["model"] == model) & night.windows["origin"].isin(list(origins))]
        tables = {name: mine.pivot_table(index="level", columns="origin", values=name, dropna=False) for name in ("rmsse", "weight", "loss", "count")}
        return cls(tuple(tables["count"].index), {name: table.to_numpy(float) for name, table in tables.items()})

    def wrmsse(self, draws: np.ndarray) -> np.ndarray:
        """[L, B] of windows drawn so many times each [B, W]."""
        return self._ratio("rmsse", "weight", draws)

    def wql(self, draws: np.ndarray) -> np.ndarray:
        """[L, B] of windows drawn so many times each [B, W]."""
        return self._ratio("loss", "count", draws)

    def _ratio(self, above: str, below: str, draws: np.ndarray) -> np.ndarray:
        """Not a number where nothing came that could be scored, and where a score is missing of something that came."""
        each = np.nan_to_num(self.sums[below])
        under = each @ draws.T
        return np.asarray(np.where(under > 0, np.where(each > 0, self.sums[above], 0.0) @ draws.T / np.where(under > 0, under, 1.0), np.nan))


_METRICS: tuple[tuple[str, Callable[[_Blocks, np.ndarray], np.ndarray]], ...] = (("WRMSSE", _Blocks.wrmsse), ("WQL", _Blocks.wql))


def _together(night: Night, origins: Sequence[int]) -> int:
    """How many of the windows fit beside one another."""
    room = (origins[-1] - origins[0]) / night.champion.backtested.horizon + 1
    return max(1, min(len(origins), round(room)))


def _draws(night: Night, origins: Sequence[int]) -> np.ndarray:
    """[1 + B, W] how often each window counts: each once, then drawn with replacement, no more than fit beside one another."""
    drawn = np.random.default_rng(0).multinomial(_together(night, origins), np.full(len(origins), 1 / len(origins)), DRAWS)
    return np.concatenate([np.ones((1, len(origins)), int), drawn])


def _allowed(night: Night, tolerance: float) -> float:
    """By what share a score may be higher whatever the noise, where a night of so many windows is the measure."""
    return tolerance if _together(night, sorted(night.champion.backtested.origins)) >= FEW_WINDOWS else FEW_TOLERANCE


def _rise(mine: np.ndarray, other: np.ndarray, tolerance: float) -> tuple[float, float]:
    """By what share a score [1 + B] is higher than another, and by what share it may be: the noise, or the tolerance if that is more.

    Not a number where the other has a score and this one has none.
    """
    use = np.isfinite(mine) & np.isfinite(other) & (other > 0)
    if not use[0]:
        return np.nan if np.isfinite(other[0]) and not np.isfinite(mine[0]) else 0.0, tolerance  # else nothing came that could be scored
    rises = mine[use] / other[use] - 1.0
    noise = float(rises[0] - np.quantile(rises[1:], DOUBT)) if len(rises) > 1 else 0.0
    return float(rises[0]), max(tolerance, noise)


def _against_champion(night: Night, champion: Night) -> list[Check]:
    """The plain mean of the levels' scores, each of the candidate beside the champion's on the windows that both have."""
    origins = _shared(night, champion)
    if not origins:
        return []
    draws = _draws(night, origins)
    mine, theirs = _Blocks.of(night, CHAMPION, origins), _Blocks.of(champion, CHAMPION, origins)
    tolerance = _allowed(champion, TOLERANCE)  # by the champion's windows: nobody is let off by having fewer
    found = []
    for name, score in _METRICS:
        rise, limit = _rise(score(mine, draws).mean(axis=0), score(theirs, draws).mean(axis=0), tolerance)
        found.append(Check(f"{name} champion", rise, limit))
    return found


def _against_baselines(night: Night, champion: Night | None) -> list[Check]:
    """At each level the candidate beside the better of its baselines, and of the champion's: nobody is let off by leaving them out."""
    found = []
    for name, score in _METRICS:
        checks = []
        for other in (night, champion) if champion is not None and not champion.windows.empty else (night,):
            origins = _shared(night, other)
            references = [model.name for model in other.recipe.members if model.reference and model.name in set(other.windows["model"])]
            if not origins or not references:
                continue
            draws, tolerance = _draws(night, origins), _allowed(other, BASELINE_TOLERANCE)
            mine = _Blocks.of(night, CHAMPION, origins)
            own, scores = score(mine, draws), [score(_Blocks.of(other, reference, origins), draws) for reference in references]
            for k, level in enumerate(mine.levels):
                best = min((one[k] for one in scores if np.isfinite(one[k, 0])), key=lambda one: float(one[0]), default=None)
                if best is not None:
                    checks.append(Check(f"{name} baselines", *_rise(own[k], best, tolerance), where=level))
        found += _worst(checks)
    return found


def _shared(night: Night, other: Night) -> list[int]:
    """The origins of the windows that both have."""
    return sorted(set(night.champion.backtested.origins) & set(other.champion.backtested.origins))


def _coverage(night: Night) -> list[Check]:
    """The share of days inside their intervals, at the level that is nearest to a limit."""
    made = night.champion.backtested
    days = len({day for o in made.origins for day in range(o + 1, min(o + 1 + made.horizon, len(made.known.panel.days)))})
    scores = night.scores[night.scores["model"] == CHAMPION]
    count = night.windows[night.windows["model"] == CHAMPION].groupby("level")[["count", "rows"]].sum()
    found = []
    for name, least in TOO_NARROW.items():
        checks = []
        for level, share in zip(scores["level"], scores[f"cover{name}"], strict=True):
            checks.append(Check(f"coverage {name}", float(share), least - SURE * np.sqrt(least * (1 - least) / days), at_least=True, where=level))
            if name in TOO_WIDE and count["count"][level] >= LARGE * count["rows"][level]:
                most = TOO_WIDE[name]
                checks.append(Check(f"coverage {name}", float(share), most + SURE * np.sqrt(most * (1 - most) / days), where=level))
        found += _worst(checks)
    return found


def _alerts(night: Night, budget: float) -> Check:
    """Events a day that the candidate's forecasts would have begun at single series in the last weeks, in budgets."""
    n = night.champion.backtested.known.hierarchy.n_series
    each = min(budget / n, excess.MOST_A_YEAR / evidence.DAYS_A_YEAR)
    events = evidence.episodes(np.nan_to_num(night.evidence) >= evidence.threshold(each))
    days = night.evidence.shape[1]
    chance = SURE * np.sqrt(each * n * days)
    return Check("alerts", events / (each * n * days), MOST_ALERTS + chance / (each * n * days), where="series")


def _worst(checks: Sequence[Check]) -> list[Check]:
    """The one that is farthest beyond its limit, or nearest to it, one that could not be measured before all; none of none."""

    def beyond(check: Check) -> float:
        return np.inf if np.isnan(check.measured) else (check.limit - check.measured) * (1 if check.at_least else -1)

    return [max(checks, key=beyond)] if checks else []
