"""Recoding: from one day on a category loses tickets in the whole city, and others gain as many together.

Against the forecast and the days before, so that a level that was missed before tells nothing. Loss and gain must both be far outside chance,
balance each other, and be the districts' own, not one district's: a burst has no mirror. The likeliest onset is the one with the strongest
evidence, as in a generalised likelihood ratio over change points (Lorden 1971).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from forecasting.detection import common, explain
from forecasting.detection.excess import Days
from forecasting.detection.explain import Labels
from forecasting.detection.finding import DATA, Finding, Part
from forecasting.detection.grid import Grid
from forecasting.detection.levels import BROAD
from forecasting.hierarchy import ALL, Tree

HELD_LOSS, HELD_GAIN = 2.0, 3.0  # standard deviations of loss and gains from which on no demand alert is to come from the gains
HELD_DAYS = 5  # of doubt: what is not plain then by one side at least is none
SURE, SURE_TOGETHER, SURE_DAYS = 3.5, 6.0, 3  # ... of the weaker side and of both, from which on it is told, and days of it at least
MAD = 1.4826  # times the median of absolute values is the standard deviation of a normal distribution
CALIBRATED = (0.8, 2.0)  # times what the forecast says its changes scatter by, as they did lately
EACH = 1.0  # standard deviations that every gaining category must have gained
BALANCE = 2.0  # standard deviations that gain and loss may differ by
LEAST_PART = 0.15  # of the loss, that every one of them must have gained: a new kind of complaint is none
UNBALANCED = 0.4  # of the loss, that gains and loss may differ by besides
LATEST = 28  # days after which what is usual has learnt it, gains that look like an event too
LEAST_BEFORE = 7  # days before the onset, at least
LEAST_SHARE = 0.15  # of the old category's tickets that move: less is what categories do on their own
MOST_NEW = 3  # categories that one is filed under anew
BEFORE_DAYS, AFTER_DAYS = 14, 7  # days before the onset that tell the level, and after it that tell the change: codes change at once
LEVEL_ERROR = 0.08  # log standard deviation of a category's level about its forecast
MEMORY_DAYS = 2  # for which what makes a category more than its forecast stays: so many days tell no more than one
MOST_MOVED = 0.95  # of the old category: a forecast of nothing judges nothing
NEAR = 2  # days before and after a day that tell how much moves on it: the forecast learns
MOST_MOVES = 1  # recodings at a time
COMMON = 0.5  # of the loss and the gain that all districts must have in common


@dataclass(frozen=True)
class Move:
    """A recoding.

    Attributes:
        old: place of the category that loses.
        new: places of those that gain.
        onset: position of the first day.
        gains: [len(new), D] share of the old category's forecast that is filed under each of them, 0 before the onset.
        lost: [D] share that it lacks, not more than the others gain.
        strength, together: standard deviations of the weaker side, and of both.
    """

    old: int
    new: tuple[int, ...]
    onset: int
    gains: np.ndarray
    lost: np.ndarray
    strength: float
    together: float

    @property
    def sure(self) -> bool:
        """Whether it is told, and not only no alert comes from it."""
        return _sure(self.strength, self.together, self.gains.shape[1] - self.onset)


def _sure(strength: float, together: float, days: int) -> bool:
    return strength >= SURE and together >= SURE_TOGETHER and days >= SURE_DAYS


def find(days: Days, where: Grid) -> list[Move]:
    """Recodings that run on the last day, the strongest first."""
    moves: list[Move] = []
    left = days
    for _ in range(MOST_MOVES):
        move = _strongest(left, where)
        if move is None:
            break
        moves.append(move)
        left = expected(left, where, [move])
    return moves


def expected(days: Days, where: Grid, moves: Sequence[Move]) -> Days:
    """The days with the means that recodings leave: the same share in every area, so that all sums agree."""
    if not moves:
        return days
    mean = np.concatenate([days.mean, np.zeros((1, days.mean.shape[1]))])
    for move in moves:
        old = mean[where.at[:, move.old]]
        change = np.zeros((len(where.areas), len(where.categories), days.mean.shape[1]))
        if move.sure:  # in doubt nothing is to come from the gains, but nothing is expected to be lost either
            for column in where.paths[move.old]:
                change[:, column] -= old * move.lost
        for code, gain in zip(move.new, move.gains, strict=True):
            for column in where.paths[code]:
                change[:, column] += old * gain
        mean[where.at.ravel()] += np.nan_to_num(change.reshape(-1, change.shape[2]))
        mean = np.maximum(mean, 0.0)
    return replace(days, mean=mean[:-1])


def _strongest(days: Days, where: Grid) -> Move | None:
    """The most evident recoding, if any is."""
    roots = np.flatnonzero(where.above < 0)
    districts = where.below(int(roots[0])) if len(roots) == 1 else np.array([], int)
    if len(districts) < BROAD or len(where.leaves) < BROAD:
        return None
    observed, mean, dispersion = (
        where.rows(x, fill)[:, where.leaves] for x, fill in ((days.observed, np.nan), (days.mean, 0.0), (days.dispersion, 0.0))
    )
    there = ~(np.isnan(observed[roots[0]]) | np.isnan(mean[roots[0]]))
    came, usual = (np.where(there, x[roots[0]], 0.0) for x in (observed, mean))
    if not there[:, -1].any():
        return None
    of_all = common.factor(*(x[roots[0]] for x in (observed, mean, dispersion)))
    usual = usual * np.where(np.isnan(of_all), 1.0, of_all)
    change, deviation, level = _changes(came, usual, np.where(there, dispersion[roots[0]], 0.0))
    z = change / np.maximum(deviation, 1e-9)
    late = np.arange(z.shape[1])
    early = (late < LEAST_BEFORE) | (late < z.shape[1] - LATEST)
    if early.all():
        return None
    deviation = deviation * np.clip(MAD * np.median(np.abs(z[:, ~early])), *CALIBRATED)
    z = np.where(early, 0.0, change / deviation)
    after = np.cumsum(np.pad(usual, ((0, 0), (0, AFTER_DAYS))), axis=1)
    after = level * (after[:, AFTER_DAYS - 1 : -1] - np.pad(after, ((0, 0), (1, 0)))[:, : -AFTER_DAYS - 1])
    losing = (z <= -HELD_LOSS) & (-change >= LEAST_SHARE * after)
    best: tuple[float, float, int, int, list[int]] | None = None
    broad: dict[int, np.ndarray] = {}
    for onset, old in zip(*np.nonzero(losing.T), strict=True):
        if onset not in broad:
            broad[onset] = _broad(int(onset), change[:, onset], level[:, onset], observed[districts], mean[districts], dispersion[districts])
        got = _gaining(int(old), change[:, onset], deviation[:, onset], np.where(broad[onset], z[:, onset], 0.0))
        if got is None or (best is not None and got[1] <= best[1]):
            continue
        days_of_it = z.shape[1] - int(onset)
        if days_of_it <= HELD_DAYS or got[1] >= SURE_TOGETHER:
            best = got[0], got[1], int(old), int(onset), got[2]
    if best is None:
        return None
    strength, together, old, onset, new = best
    if _sure(strength, together, z.shape[1] - onset):
        left = (z[:, onset] >= HELD_LOSS) & broad[onset] & (change[:, onset] >= LEAST_PART * -change[old, onset])
        new = [*new, *(int(k) for k in np.flatnonzero(left) if k not in new)]
    changes = _moved(old, [*new, old], onset, level[:, onset], observed[districts], mean[districts], dispersion[districts])
    gains, lost = np.maximum(changes[:-1], 0.0), np.clip(-changes[-1], 0.0, MOST_MOVED)
    if not (gains[:, onset:].sum(axis=1) > 0).all():
        return None
    leaves = where.leaves
    return Move(int(leaves[old]), tuple(int(leaves[k]) for k in new), onset, gains, np.minimum(lost, gains.sum(axis=0)), strength, together)


def _changes(came: np.ndarray, usual: np.ndarray, dispersion: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """In the week from each day on: tickets too many against the level of the days before, their standard deviation, and that level: [K, D] each."""
    length = came.shape[1]
    change, deviation, level = (np.zeros_like(came) for _ in range(3))
    scatter = dispersion * usual**2
    for onset in range(length):
        before, after = slice(max(onset - BEFORE_DAYS, 0), onset), slice(onset, min(onset + AFTER_DAYS, length))
        known = usual[:, before].sum(axis=1)
        noise = (known + MEMORY_DAYS * scatter[:, before].sum(axis=1)) / np.maximum(known, 1e-9) ** 2
        trust = np.where(known > 0, LEVEL_ERROR**2 / (LEVEL_ERROR**2 + noise), 0.0)
        shift = np.clip(trust * (came[:, before].sum(axis=1) / np.maximum(known, 1e-9) - 1.0), -2 * LEVEL_ERROR, 2 * LEVEL_ERROR)
        level[:, onset] = 1.0 + shift
        total = usual[:, after].sum(axis=1)
        change[:, onset] = came[:, after].sum(axis=1) - total * level[:, onset]
        memory = min(length - onset, MEMORY_DAYS)
        deviation[:, onset] = np.sqrt(1.0 + total + memory * scatter[:, after].sum(axis=1) + total**2 * LEVEL_ERROR**2 * (1.0 - trust))
    return change, deviation, level


def _gaining(old: int, change: np.ndarray, deviation: np.ndarray, z: np.ndarray) -> tuple[float, float, list[int]] | None:
    """The strongest of the gains that balance a loss: strength, of both together, categories."""
    found: tuple[float, float, list[int]] | None = None
    new: list[int] = []
    if z[old] >= 0:
        return None
    for k in np.argsort(-z):
        if z[k] < EACH or len(new) == MOST_NEW:
            break
        if change[k] < LEAST_PART * -change[old]:
            continue
        new = [*new, int(k)]
        apart = abs(change[new].sum() + change[old])
        balanced = apart <= BALANCE * np.sqrt((deviation[[old, *new]] ** 2).sum()) and apart <= -UNBALANCED * change[old]
        gained = float(np.sqrt((z[new] ** 2).sum()))
        strength, together = min(-float(z[old]), gained), float(np.hypot(z[old], gained))
        if balanced and gained >= HELD_GAIN and (found is None or together > found[1]):
            found = strength, together, new
    return found


def _of_districts(
    onset: int, level: np.ndarray, observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tickets too many in the week from an onset on, their standard deviation by chance alone, and the expectation: [districts, K] each."""
    week = slice(onset, onset + AFTER_DAYS)
    observed, mean, dispersion = observed[:, :, week], mean[:, :, week], dispersion[:, :, week]
    there = ~(np.isnan(observed) | np.isnan(mean))
    came, usual = (np.where(there, x, 0.0).sum(axis=2) for x in (observed, mean * level[:, None]))
    scatter = np.sqrt(usual + np.where(there, dispersion * mean**2, 0.0).sum(axis=2))
    return came - usual, scatter, usual


def _broad(onset: int, change: np.ndarray, level: np.ndarray, observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray) -> np.ndarray:
    """[K] whether a category's change is one that its districts have in common."""
    own, scatter, usual = _of_districts(onset, level, observed, mean, dispersion)
    size = usual.sum(axis=1)
    return np.array([_common(own[:, k], scatter[:, k], size) * np.sign(change[k]) >= COMMON * abs(change[k]) for k in range(len(change))])


def _moved(
    old: int, those: Sequence[int], onset: int, level: np.ndarray, observed: np.ndarray, mean: np.ndarray, dispersion: np.ndarray
) -> np.ndarray:
    """[len(those), D] change of categories as a share of the old one: near each day, what districts have in common in proportion to what it had."""
    length = observed.shape[2]
    changes = np.zeros((len(those), length))
    for t in range(onset, length):
        near = slice(max(t - NEAR, onset), min(t + NEAR + 1, length))
        there = ~(np.isnan(observed[:, :, near]) | np.isnan(mean[:, :, near]))
        came, usual = (np.where(there, x, 0.0).sum(axis=2) for x in (observed[:, :, near], mean[:, :, near] * level[:, None]))
        scatter = np.sqrt(usual + np.where(there, dispersion[:, :, near] * mean[:, :, near] ** 2, 0.0).sum(axis=2))
        size = usual[:, old]
        changes[:, t] = [_common(came[:, k] - usual[:, k], scatter[:, k], size) / max(size.sum(), 1e-9) for k in those]
    return changes


def _common(change: np.ndarray, scatter: np.ndarray, size: np.ndarray) -> float:
    """What n districts change by together if each changes in proportion to its size, apart from those with a matter of their own."""
    first = np.median(change / np.maximum(size, 1e-9))
    kept = np.abs(change - first * size) <= common.REJECTED * np.maximum(scatter, 1.0)
    return float(change[kept].sum() / max(size[kept].sum(), 1e-9) * size.sum()) if kept.any() else 0.0


def note(day: date, move: Move, days: Days, where: Grid, areas: Tree, labels: Labels) -> Finding:
    """A recoding in words, at the city and the category that loses."""
    root = int(np.flatnonzero(where.above < 0)[0])
    row = int(where.at[root, move.old])
    onset = day - timedelta(days=move.gains.shape[1] - 1 - move.onset)
    observed, mean = days.observed[row], np.nan_to_num(days.mean[row])
    lost = mean * move.lost
    since = slice(move.onset, None)
    scatter = np.sqrt(mean[-1] + np.nan_to_num(days.dispersion[row, -1]) * mean[-1] ** 2)
    rows = [(where.areas[d], int(where.at[d, move.old])) for d in where.below(root)]
    parts = tuple(
        Part(areas.path(area)[-2], float(np.nan_to_num(days.observed[r, -1])), float(np.nan_to_num(days.mean[r, -1])))
        for area, r in rows
        if r < len(days.nodes)
    )
    new = [where.categories[k] for k in move.new]
    a_day = float(lost[since].mean())
    share = float(lost[since].sum() / max(mean[since].sum(), 1e-9))
    zh, en = explain.recoded(labels, where.areas[root], onset, where.categories[move.old], new, a_day, share)
    return Finding(
        DATA, "yellow" if where.areas[root] == ALL else "blue", where.areas[root], where.categories[move.old],
        tuple(sorted(parts, key=lambda p: p.observed - p.expected)), day, onset, day, float(np.nan_to_num(observed[-1])), float(mean[-1]),
        float(max(mean[-1] - 1.645 * scatter, 0.0)), float(mean[-1] + 1.645 * scatter), float(np.nansum(observed[since])), float(mean[since].sum()),
        float(10.0 ** -(move.strength**2 / 4.6)), zh, en,
    )  # fmt: skip
