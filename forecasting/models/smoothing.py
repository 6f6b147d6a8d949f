"""Exponential smoothing of every node at once: a discounted level times the shape of the week, times what else is known of a day.

A node's level is its discounted count over its discounted exposure. The exposure of a day is the share of its kind (weekday, or
holiday), itself a discounted mean, times a factor that is given: Holt-Winters' multiplicative method (Winters 1960) in the form of the
discounted Poisson model (Harvey & Fernandes 1989), which needs no positive counts and never forecasts below zero. Instead of choosing
one pair of discounts a node, all pairs of a grid run side by side and are averaged by what they were worth over the last weeks, for each
week ahead by itself (exponential weights, Cesa-Bianchi & Lugosi 2006): a level that moves is followed in the first week and less so in
the fourth.

Own code: a library fits one series after the other (0.1 s each); here a step of the recursion moves all nodes and all pairs at once.
"""

from collections import deque
from dataclasses import dataclass

import numpy as np

from forecasting.calendars import HOLIDAY_SHAPE
from forecasting.models.base import Known
from forecasting.models.baselines import without_bursts

LEVELS = (0.003, 0.01, 0.03, 0.07, 0.15, 0.3)  # discounts a day of the level: a memory of a year down to three days
SHAPES = (0.005, 0.02, 0.05)  # discounts a week of the week's shape: a memory of years down to five months
WEEK = 7
KINDS = HOLIDAY_SHAPE + 1  # Monday to Sunday, and a holiday
FAST = 0.15  # discounts a day from which on a pair forgets within a week: they follow a level that has moved
PRIOR = 6.0  # tickets that a flat week is worth: the shape of a sparse series is told late
FIRST_SCORED = 28  # days of history before a forecast of a pair counts for its worth
FORGET = 0.986  # a week: what a pair was worth a year ago counts half
MOST_WEEKS = 60.0  # weights do not sharpen for ever: all pairs are wrong somehow
CHUNK = 1_000  # nodes at once: what a step moves stays in a core's cache. In two threads it takes longer, for steps are short and wait for each other

OF_LEVEL, OF_SHAPE = np.array(LEVELS)[:, None], np.array(SHAPES)[:, None]  # [L, 1], [U, 1]
FAST_LEVELS = (OF_LEVEL >= FAST) / (OF_LEVEL >= FAST).sum() / len(SHAPES)  # [L, 1] weights of each pair, of a node whose level has moved


def start(known: Known, years: int) -> int:
    """Position of the first day of the last years."""
    return max(0, len(known.panel.days) - 365 * years)


def smooth(known: Known, horizon: int, start: int, factors: np.ndarray, which: np.ndarray, moved: np.ndarray) -> np.ndarray:
    """Means of every node.

    Args:
        start: position of the first day of history.
        factors: [U, n] what multiplies the tickets of a day, besides the week, from `start` to the horizon's end; > 0.
        which: [M] which of the factors are each node's.
        moved: [M] nodes whose level has moved: only the fast pairs are believed.

    Returns:
        [M, H], >= 0.
    """
    n_days = len(known.panel.days)
    kinds = known.calendar(horizon)["shape_day"].to_numpy(int)[start : n_days + horizon]
    counts = known.since_first[:, start:]
    chunks = [slice(i, i + CHUNK) for i in range(0, len(counts), CHUNK)]
    return np.concatenate([_recursion(counts[rows], kinds, factors[which[rows]], moved[rows], horizon) for rows in chunks])


@dataclass
class _State:
    """Discounted sums of m nodes for pairs of L discounts of the level and U of the shape; nodes stand last, where arrays are quickest.

    Attributes:
        count: [L, m], exposure: [L, U, m] whose quotient is the level, tickets a day.
        total, number: [KINDS, U, m] counts and days of each kind, whose quotient is the kind's mean.
        age: [m] days known.
    """

    count: np.ndarray
    exposure: np.ndarray
    total: np.ndarray
    number: np.ndarray
    age: np.ndarray

    @classmethod
    def of(cls, m: int) -> "_State":
        """Of nodes of which nothing is known yet."""
        levels, shapes = len(LEVELS), len(SHAPES)
        return cls(np.zeros((levels, m)), np.zeros((levels, shapes, m)), np.zeros((KINDS, shapes, m)), np.zeros((KINDS, shapes, m)), np.zeros(m))

    def level(self) -> np.ndarray:
        """[L, U, m] tickets on a day of the usual kind."""
        return np.asarray(self.count[:, None] / np.maximum(self.exposure, 1e-9))

    def learn(self, counts: np.ndarray, known: np.ndarray, kind: int, factors: np.ndarray, shape: np.ndarray) -> None:
        """Takes in a day of a kind: counts [m] where they are known [m], the day's factors [m] and its kind's shape [U, m]."""
        rate = np.maximum(OF_LEVEL, 1.0 / (self.age + 1.0)) * known
        self.count += rate * (counts - self.count)
        self.exposure += rate[:, None] * (shape * factors - self.exposure)
        rate = np.maximum(OF_SHAPE, 1.0 / (self.age / WEEK + 1.0)) * known
        self.total[kind] += rate * (counts / factors - self.total[kind])
        self.number[kind] += rate * (1.0 - self.number[kind])
        self.age += known

    def shape(self, kinds: int | slice = slice(None)) -> np.ndarray:
        """[..., U, m] the share of one or of all kinds of the week's mean, drawn towards 1 where there are few tickets."""
        week = self.total[:WEEK].sum(axis=0) / np.maximum(self.number[:WEEK].sum(axis=0), 1e-9)
        prior = PRIOR * OF_SHAPE / (week + 0.05)
        share = (self.total[kinds] + prior * week) / (self.number[kinds] + prior)
        return np.asarray(np.where(week > 0, share / np.where(week > 0, week, 1.0), 1.0))


def _recursion(counts: np.ndarray, kinds: np.ndarray, factors: np.ndarray, moved: np.ndarray, horizon: int) -> np.ndarray:
    """Means [m, H] after the last of the counts [m, n], on days of `kinds` [n + H] with `factors` [m, n + H]."""
    m, n_days = counts.shape
    usual = factors[:, :n_days]
    counts = np.ascontiguousarray((without_bursts(counts / usual) * usual).T)
    factors = np.ascontiguousarray(factors.T)
    known, filled = ~np.isnan(counts), np.nan_to_num(counts)
    weeks = -(-horizon // WEEK)
    state = _State.of(m)
    loss, scored = np.zeros((weeks, len(LEVELS), len(SHAPES), m)), np.zeros((weeks, m))
    made: deque[tuple[np.ndarray, np.ndarray, np.ndarray]] = deque(maxlen=weeks)  # levels, shapes and ages at the ends of the last weeks
    for t in range(n_days):
        state.learn(filled[t], known[t], kinds[t], factors[t], state.shape(kinds[t]))
        if (n_days - 1 - t) % WEEK == 0 and t + 1 >= WEEK:
            week = slice(t + 1 - WEEK, t + 1)
            for ahead, (level, then, age) in enumerate(reversed(made)):
                error = _squared(level, then[kinds[week]] * factors[week, None], filled[week], known[week])
                old = age >= FIRST_SCORED
                loss[ahead] = np.where(old, FORGET * loss[ahead] + error, loss[ahead])
                scored[ahead] = np.where(old, FORGET * scored[ahead] + 1.0, scored[ahead])
            made.append((state.level(), state.shape(), state.age.copy()))
    worth, level, shape = np.where(moved, FAST_LEVELS[:, None], _worth(loss, scored)), state.level(), state.shape()
    days = [(worth[h // WEEK] * level * shape[kinds[n_days + h]]).sum(axis=(0, 1)) for h in range(horizon)]
    return np.asarray(np.stack(days, axis=1) * factors[n_days:].T)


def _squared(level: np.ndarray, exposure: np.ndarray, counts: np.ndarray, known: np.ndarray) -> np.ndarray:
    """[L, U, m] squared errors, summed over days, of levels [L, U, m] times exposures [days, U, m] against counts [days, m] that are known."""
    exposure = exposure * known[:, None]
    square, product = (exposure**2).sum(axis=0), (exposure * counts[:, None]).sum(axis=0)
    return np.asarray(level**2 * square - 2.0 * level * product + (known * counts**2).sum(axis=0))


def _worth(loss: np.ndarray, scored: np.ndarray) -> np.ndarray:
    """[weeks, L, U, m] weights of the pairs, which add up to 1; equal where nothing was scored."""
    mean = loss / np.maximum(scored, 1e-9)[:, None, None]
    best = np.maximum(mean.min(axis=(1, 2), keepdims=True), 1e-9)
    weight = np.exp(-np.minimum(scored, MOST_WEEKS)[:, None, None] * np.minimum(mean / best - 1.0, 50.0))
    return np.asarray(weight / weight.sum(axis=(1, 2), keepdims=True))
