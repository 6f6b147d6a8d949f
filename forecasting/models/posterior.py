"""The most probable coefficients and noise of a regression with normal and Laplace priors, for many series at once.

Columns of two kinds explain a series: smooth ones, whose coefficients have standard normal priors, and sparse ones, whose coefficients have
Laplace priors and are mostly zero. Given the noise the smooth ones can be solved for, and what remains is a lasso in the sparse ones. It is
solved by a primal-dual interior point method (Mehrotra 1992) that moves the noise to its best value before each step. The hinges of a trend
are so alike that coordinate descent or a splitting method would need thousands of steps for the last digits.
"""

from dataclasses import dataclass, fields

import numpy as np

NOISE_SCALE = 0.5  # of the half-normal prior of the noise's standard deviation, as in Prophet
LEAST_NOISE = 1e-3  # standard deviation; without any noise the posterior density would be infinite

STEPS = 100  # at most; 10 to 15 are usual
GAP = 1e-8  # of the log posterior density, at which the steps end
OFF = 1e-6  # the same for conditions that hold at the mode, relative
SETTLED = 1e-8  # the same for the noise's variance, relative
STEP_BACK = 0.99  # of the way to the boundary
SIGNS = np.array([1.0, -1.0])[:, None, None]


@dataclass(frozen=True)
class Regression:
    """S regressions of y on P smooth and C sparse columns, as products.

    The smooth columns of a series are orthogonal.

    Attributes:
        number: [S] days.
        square: [S] y by y.
        smooth_y: [S, P] smooth columns by y.
        sparse_y: [S, C] sparse columns by y.
        values: [S, P] squares of the smooth columns.
        cross: [S, P, C] smooth columns by sparse ones.
        sparse: [S, C, C] sparse columns by one another.
    """

    number: np.ndarray
    square: np.ndarray
    smooth_y: np.ndarray
    sparse_y: np.ndarray
    values: np.ndarray
    cross: np.ndarray
    sparse: np.ndarray

    def at(self, rows: np.ndarray) -> "Regression":
        """Some of the series."""
        return Regression(*(getattr(self, f.name)[rows] for f in fields(self)))

    def smooth(self, variance: np.ndarray, bends: np.ndarray) -> np.ndarray:
        """[S, P] best smooth coefficients, given variance [S] and sparse coefficients [S, C]."""
        return np.asarray((self.smooth_y - times(self.cross, bends)) / (self.values + variance[:, None]))

    def reduced(self, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Matrix [S, C, C] and right-hand side [S, C] of the least squares in the sparse coefficients, the smooth ones being solved for."""
        shrunk = 1.0 / (self.values + variance[:, None])
        across = self.cross.transpose(0, 2, 1)
        return self.sparse - across @ (shrunk[:, :, None] * self.cross), self.sparse_y - times(across, shrunk * self.smooth_y)

    def variance(self, smooth: np.ndarray, bends: np.ndarray) -> np.ndarray:
        """[S] best variance v, given the coefficients: the root of number / v - residuals / v² + 1 / NOISE_SCALE² = 0."""
        explained = (self.smooth_y * smooth).sum(axis=1) + (self.sparse_y * bends).sum(axis=1)
        fitted = (smooth * (self.values * smooth + 2 * times(self.cross, bends))).sum(axis=1) + (bends * times(self.sparse, bends)).sum(axis=1)
        residuals = np.maximum(self.square - 2 * explained + fitted, 0.0)
        root = 2 * residuals / (self.number + np.sqrt(self.number**2 + 4 * residuals / NOISE_SCALE**2))
        return np.asarray(np.maximum(root, LEAST_NOISE**2))


@dataclass(frozen=True)
class Mode:
    """Where the posterior density is greatest; NaN for a series for which `STEPS` were too few.

    Attributes:
        variance: [S] of the noise.
        smooth, bends: [S, P] and [S, C] coefficients of smooth and sparse columns.
    """

    variance: np.ndarray
    smooth: np.ndarray
    bends: np.ndarray


def mode(regression: Regression, prior: float) -> Mode:
    """Finds the mode; `prior` is the scale of the Laplace priors.

    Given the variance v the sparse coefficients x minimise x'Ax / 2 - b'x + (v / prior) |x|. Let x = up - down, both positive, and
    slack = v / prior ∓ (b - Ax), positive too. Newton's method is led along up * slack_up = down * slack_down = m towards m = 0.
    """
    found = Mode(*(np.full_like(a, np.nan) for a in (regression.square, regression.smooth_y, regression.sparse_y)))
    left = np.arange(len(regression.number))
    nothing = np.zeros_like(regression.sparse_y)
    v = regression.variance(regression.smooth(np.full(len(left), LEAST_NOISE**2), nothing), nothing)
    parts = np.full((2, *nothing.shape), 0.1)  # up and down
    slacks = np.broadcast_to((v / prior)[:, None], parts.shape)
    for _ in range(STEPS):
        x = parts[0] - parts[1]
        smooth = regression.smooth(v, x)
        before, v = v, regression.variance(smooth, x)
        price = (v / prior)[:, None]
        matrix, right = regression.reduced(v)
        lack = price - SIGNS * (right - times(matrix, x)) - slacks  # 0 where the slacks are what they stand for
        gap = (parts * (slacks + np.abs(lack))).sum(axis=(0, 2)) / v
        done = (gap < GAP) & (np.abs(lack).max(axis=(0, 2)) < OFF * price[:, 0]) & (np.abs(v - before) < SETTLED * v)
        found.variance[left[done]], found.smooth[left[done]], found.bends[left[done]] = v[done], smooth[done], x[done]
        if done.all():
            break
        if done.any():
            go = ~done
            left, regression, v, matrix = left[go], regression.at(go), v[go], matrix[go]
            parts, slacks, lack = parts[:, go], slacks[:, go], lack[:, go]
        parts, slacks = _step(matrix, parts, slacks, lack, 0.1 * GAP * v[:, None] / parts[:, 0].size)
    return found


def times(matrices: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """[S, A, B] by [S, B] -> [S, A], each series for itself: the result does not depend on which others are there."""
    return np.asarray((matrices @ vectors[:, :, None])[:, :, 0])


def _step(matrix: np.ndarray, parts: np.ndarray, slacks: np.ndarray, lack: np.ndarray, least: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Predictor straight to zero, then a corrector to what the predictor shows to be in reach, but not below `least`: digits would be lost."""
    ratio = parts / slacks
    root = np.sqrt(ratio.sum(axis=0))
    inverse = np.linalg.inv(np.eye(root.shape[1]) + root[:, :, None] * matrix * root[:, None, :])

    def newton(aim: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        right = (SIGNS * (aim / slacks - parts - ratio * lack)).sum(axis=0)
        x = root * times(inverse, right / root)
        by_slacks = SIGNS * times(matrix, x) + lack
        by_parts = aim / slacks - parts - ratio * by_slacks
        # The greater part takes over the rounding error of x, so that `lack` vanishes to the last digit: it would grow from step to step.
        up_greater = parts[0] > parts[1]
        return np.stack([np.where(up_greater, x + by_parts[1], by_parts[0]), np.where(up_greater, by_parts[1], by_parts[0] - x)]), by_slacks

    by_parts, by_slacks = newton(np.zeros_like(parts))
    reach = _reach(parts, slacks, by_parts, by_slacks)
    now = (parts * slacks).mean(axis=(0, 2))[:, None]
    then = ((parts + reach * by_parts) * (slacks + reach * by_slacks)).mean(axis=(0, 2))[:, None]
    by_parts, by_slacks = newton(np.maximum(now * (then / now) ** 3, least) - by_parts * by_slacks)
    reach = STEP_BACK * _reach(parts, slacks, by_parts, by_slacks)
    return parts + reach * by_parts, slacks + reach * by_slacks


def _reach(parts: np.ndarray, slacks: np.ndarray, by_parts: np.ndarray, by_slacks: np.ndarray) -> np.ndarray:
    """[S, 1] share of a step, at most the whole, that keeps all positive."""
    steepest = np.maximum((-by_parts / parts).max(axis=(0, 2)), (-by_slacks / slacks).max(axis=(0, 2)))
    return np.asarray(1.0 / np.maximum(steepest, 1.0))[:, None]
