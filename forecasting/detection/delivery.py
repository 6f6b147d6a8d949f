"""How an area's tickets of a day were delivered: what all its categories have in common (`common`), from the city downwards.

1. An area without counts, or with next to none, is *missing*. Sums above it are of the other areas then.
2. All categories fewer alike: the day is *short* (lost hours, an outage, a late delivery). The rest of it is as expected for such a day.
3. After that, all categories more alike, no more together than was missing before: a *rebound*, and expected.
4. All categories half as many again or more, alike: *doubled*. Nothing is taken from such counts.
5. Tickets in many categories where next to none were forecast: a *new* area.

Each area is judged beside the one above it, and what one area does alone is not laid to the one above. So a storm, which moves a few categories,
stands out on such days as on others.
"""

from enum import IntEnum

import numpy as np

from forecasting import distribution
from forecasting.detection import common
from forecasting.detection.excess import Days
from forecasting.detection.grid import Grid
from forecasting.detection.levels import BROAD

RARE = 1e-3  # probability by chance, of all areas of a depth together, of a day that is taken for short, doubled or a rebound
SHORT = 0.9  # of what was expected: a smaller loss is nobody's concern
SILENT = 0.05  # of what was expected: what is left then are stray tickets of other files
DOUBLED = 1.5  # times what was expected: no season, holiday or weather lifts all categories so far at once
VARIED = 5.0  # categories of equal weight from which on it can be told that *all* of them have doubled
LEVEL_DAYS = 14  # whose common factors tell the level that the forecast has missed by
LEAST_LEVEL_DAYS = 5  # of them
REBOUND_DAYS = 2  # within which those who found no one call again, and what was late comes in
NEW_TICKETS, NEW_CATEGORIES = 20.0, 5  # on a day, from which on an area of which next to nothing was forecast is a new one


class State(IntEnum):
    """What an area's day is."""

    USUAL = 0
    MISSING = 1
    SHORT = 2
    REBOUND = 3
    DOUBLED = 4
    NEW = 5


UNTRUSTED = (State.MISSING, State.DOUBLED, State.NEW)  # of which no count can be trusted


class Areas:
    """The state and the common factor of every area's days: [A, D] each; and the counts and means that are left: [M, D]."""

    def __init__(self, days: Days, where: Grid) -> None:
        self.grid = where
        self.observed, self.mean = days.observed.astype(float).copy(), np.where(np.isnan(days.mean), 0.0, days.mean)
        self.dispersion = np.nan_to_num(days.dispersion)
        self.unknown = np.isnan(days.mean)
        shape = len(where.areas), days.observed.shape[1]
        self.state = np.full(shape, State.USUAL, int)
        self.factor = np.ones(shape)  # of the area's own, beside the areas above
        self.p_value = np.ones(shape)
        self._silence()
        for depth in range(int(where.depth.max()) + 1):
            self._judge(np.flatnonzero(where.depth == depth))
        self.mean[self.unknown] = np.nan

    def _cells(self, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Counts, means and dispersions of the finest categories of areas: [a, K, D] each."""
        at = self.grid.at[np.ix_(areas, self.grid.leaves)]
        pad = np.zeros((1, self.mean.shape[1]))
        observed, mean, dispersion = (
            np.concatenate([x, pad + fill])[at] for x, fill in ((self.observed, np.nan), (self.mean, 0), (self.dispersion, 0))
        )
        return observed, mean, dispersion

    def _silence(self) -> None:
        """Areas without counts, and sums of the others above them."""
        for area in range(len(self.grid.areas) - 1, -1, -1):
            below = self.grid.below(area)
            if len(below):
                silent = self.state[below] == State.MISSING
                self.state[area, silent.all(axis=0)] = State.MISSING
                for t in np.flatnonzero(silent.any(axis=0) & ~silent.all(axis=0)):
                    self._sum_anew(area, below[~silent[:, t]], below[silent[:, t]], int(t))
            else:
                observed, mean, _ = self._cells(np.array([area]))
                self.state[area, (np.isnan(observed) | (mean <= 0)).all(axis=(0, 1)) & (mean > 0).any(axis=(0, 1))] = State.MISSING

    def _sum_anew(self, area: int, there: np.ndarray, missing: np.ndarray, t: int) -> None:
        """The sums of an area on a day, of those below that are there."""
        rows, (kept, gone) = self.grid.at[area], (self.grid.at[x] for x in (there, missing))
        observed, mean = np.append(self.observed[:, t], 0.0), np.append(self.mean[:, t], 0.0)
        summed, without = observed[kept].sum(axis=0), mean[gone].sum(axis=0)
        anew = (rows < len(self.mean)) & np.isnan(observed[rows])
        self.observed[rows[anew], t] = summed[anew]
        self.mean[rows[anew], t] = np.maximum(mean[rows[anew]] - without[anew], 0.0)

    def _judge(self, areas: np.ndarray) -> None:
        """States of the areas of one depth, and what follows for the areas above and below."""
        observed, mean, dispersion = self._cells(areas)
        total = mean.sum(axis=1)
        ratio = common.factor(observed, mean, dispersion)
        ratio = self._across(areas, ratio)
        scatter = self._scatter(areas, mean, dispersion)
        with np.errstate(divide="ignore"):
            level, spread = _level(np.log(np.maximum(ratio, SILENT)))
        scatter = np.maximum(scatter, spread**2 - 1.0 / np.maximum(total, 1.0))
        few, many = (total * np.exp(limit(level, 0.0)) for limit in (np.minimum, np.maximum))
        came = np.nan_to_num(ratio) * total
        rare = RARE / len(areas)
        fewer = distribution.cdf(few, scatter, np.floor(came))
        more = distribution.tail(many, scatter, np.ceil(came))
        there = ~np.isnan(ratio) & (total > 0)
        # An area without mixed categories can lose them all, but that all of them have doubled shows only in many.
        even = (common.breadth(mean) >= VARIED) & common.even(observed, mean, dispersion, ratio)
        categories = (np.nan_to_num(observed) > 0).sum(axis=1)
        state = self.state[areas]
        known = state != State.USUAL
        state[there & ~known & (fewer < rare) & (ratio < SHORT)] = State.SHORT
        state[(state == State.SHORT) & (ratio < SILENT)] = State.MISSING
        state[there & ~known & (more < rare) & (ratio >= DOUBLED) & even] = State.DOUBLED
        new = (total < 1.0) & (categories >= NEW_CATEGORIES) & (np.nansum(observed, axis=1) >= NEW_TICKETS)
        state[new & ~known & (self.grid.above[areas] >= 0)[:, None] & (self.mean > 0).any(axis=0)] = State.NEW
        self.p_value[areas] = np.where(ratio < 1.0, fewer, more)
        self._rebound(areas, state, ratio, total)
        self.state[areas] = state
        for area, of_days, before in zip(areas, state, known, strict=True):
            for t in np.flatnonzero((of_days != State.USUAL) & ~before):
                if State(of_days[t]) in UNTRUSTED:
                    self._distrust(int(area), int(t))
                elif self.factor[area, t] != 1.0:
                    self._scale(int(area), int(t))

    def _across(self, areas: np.ndarray, ratio: np.ndarray) -> np.ndarray:
        """Common factors [a, D] that the areas below have in common too: what one of them does is its own."""
        found = ratio.copy()
        for i, area in enumerate(areas):
            below = self.grid.below(int(area))
            if len(below) >= BROAD:
                observed, mean, dispersion = self._cells(below)
                total = mean.sum(axis=1)
                came, scatter = common.factor(observed, mean, dispersion) * total, self._scatter(below, mean, dispersion)
                across = common.factor(came, total, scatter)
                both = (across - 1.0) * (ratio[i] - 1.0) > 0
                nearer = np.where(np.abs(across - 1.0) < np.abs(ratio[i] - 1.0), across, ratio[i])
                found[i] = np.where(np.isnan(across), ratio[i], np.where(both, nearer, 1.0))
        return found

    def _scatter(self, areas: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
        """[a, D] dispersion of all categories together: the forecast's own, or as if they were independent."""
        alone = (dispersion * mean**2).sum(axis=1) / np.maximum(mean.sum(axis=1), distribution.LEAST_MEAN) ** 2
        if self.grid.total < 0:
            return np.asarray(alone)
        at = self.grid.at[areas, self.grid.total]
        own = np.concatenate([self.dispersion, np.zeros((1, self.dispersion.shape[1]))])[at]
        return np.asarray(np.maximum(own, alone))

    def _rebound(self, areas: np.ndarray, state: np.ndarray, ratio: np.ndarray, total: np.ndarray) -> None:
        """After days on which something was missing: what all categories come more by, up to what was missing."""
        own = np.nan_to_num(ratio, nan=1.0)
        lost = np.where(state == State.MISSING, total, np.where(state == State.SHORT, (1.0 - own) * total, 0.0))
        factor = np.where(state == State.SHORT, own, 1.0)
        returned = np.zeros_like(total)
        for t in range(1, total.shape[1]):
            owed = np.maximum(lost[:, max(t - REBOUND_DAYS, 0) : t].sum(axis=1) - returned[:, max(t - REBOUND_DAYS + 1, 0) : t].sum(axis=1), 0.0)
            more = (own[:, t] - 1.0) * total[:, t]
            back = (more > 0) & (owed > 0) & ((state[:, t] == State.USUAL) | ((state[:, t] == State.DOUBLED) & (more <= owed)))
            state[back, t] = State.REBOUND
            returned[back, t] = np.minimum(more, owed)[back]
            factor[back, t] = 1.0 + returned[back, t] / total[back, t]
        self.factor[areas] = factor

    def _below(self, area: int) -> list[int]:
        found = [area]
        for one in found:
            found.extend(int(x) for x in self.grid.below(one))
        return found

    def _distrust(self, area: int, t: int) -> None:
        """Takes an area's day out of itself, of all below it and of the sums above it."""
        here = self.grid.at[area]
        amount = np.append(self.observed[:, t], 0.0)[here], np.append(self.mean[:, t], 0.0)[here]
        for up in self.grid.upwards(area):
            rows = self.grid.at[up]
            both = (rows < len(self.mean)) & (here < len(self.mean)) & ~np.isnan(amount[0])
            self.observed[rows[both], t] -= amount[0][both]
            self.mean[rows[both], t] = np.maximum(self.mean[rows[both], t] - amount[1][both], 0.0)
        for one in self._below(area):
            rows = self.grid.at[one][self.grid.at[one] < len(self.mean)]
            self.observed[rows, t] = np.nan
            self.state[one, t] = self.state[area, t]

    def _scale(self, area: int, t: int) -> None:
        """Brings the means of an area's day, of all below it and of the sums above it to where they are to be expected."""
        here = self.grid.at[area]
        change = np.append(self.mean[:, t], 0.0)[here] * (self.factor[area, t] - 1.0)
        for up in self.grid.upwards(area):
            rows = self.grid.at[up]
            both = rows < len(self.mean)
            self.mean[rows[both], t] += change[both]
        for one in self._below(area):
            rows = self.grid.at[one][self.grid.at[one] < len(self.mean)]
            self.mean[rows, t] *= self.factor[area, t]


def _level(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Median and robust spread of the days before each: [a, D] -> [a, D] each, 0 where there are too few."""
    early = np.full((len(logs), LEVEL_DAYS), np.nan)
    before = np.lib.stride_tricks.sliding_window_view(np.concatenate([early, logs[:, :-1]], axis=1), LEVEL_DAYS, axis=1)
    enough = (~np.isnan(before)).sum(axis=2) >= LEAST_LEVEL_DAYS
    level = _median(before)
    spread = 1.4826 * _median(np.abs(before - level[..., None]))
    return np.where(enough, level, 0.0), np.where(enough, spread, 0.0)


def _median(values: np.ndarray) -> np.ndarray:
    """Median along the last axis of what is not NaN, NaN where there is nothing: numpy's own takes ten times as long for many short rows."""
    ordered, number = np.sort(values, axis=-1), (~np.isnan(values)).sum(axis=-1)
    low, high = (np.take_along_axis(ordered, np.maximum(at, 0)[..., None], axis=-1)[..., 0] for at in ((number - 1) // 2, number // 2))
    return np.asarray((low + high) / 2)
