"""The blend: members weighted by what they were worth in backtests, per group of like nodes."""

import re
from collections.abc import Mapping

import numpy as np

SIZES = (0.3, 1.0, 3.0, 10.0)  # tickets a day that separate groups of series: what is predictable changes with the count


def groups(levels: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Groups of like nodes: each level of sums is one, series are parted by size.

    Args:
        levels: [M] names of levels.
        sizes: [M] recent tickets a day.

    Returns:
        [M] numbers from 0 on, without gaps.
    """
    label = np.where(levels == "series", np.digitize(sizes, SIZES).astype(str), levels)
    return np.asarray(np.unique(label, return_inverse=True)[1])


def weights(forecasts: np.ndarray, counts: np.ndarray, scale: np.ndarray, groups: np.ndarray, baseline: np.ndarray, shrink: float) -> np.ndarray:
    """Weights that minimise the squared error of the sum, >= 0 and adding up to 1 (Bates & Granger 1969), drawn towards equal ones.

    They are drawn towards equal weights of the members that are no baselines: with the few windows that there are, an equal average of
    good members is hard to beat (Smith & Wallis 2009), and a baseline has to earn its place.

    Args:
        forecasts: [K, M, W, H] means of K members in W windows; NaN where a member has no opinion.
        counts: [M, W, H]; NaN where missing.
        scale: [M] typical error of each node, > 0.
        groups: [M] numbers from 0.
        baseline: [K] which members are baselines.
        shrink: weight of the pull against the mean squared error; 0 for none.

    Returns:
        [M, K] weights of each node; 0 for a member without an opinion on it. Without any residual those drawn towards.
    """
    has = np.isfinite(forecasts).any(axis=(2, 3)).T  # [M, K]
    errors = (forecasts - counts[None]) / scale[None, :, None, None]
    out = np.zeros(has.shape)
    _, signature = np.unique(np.column_stack([groups, has]), axis=0, return_inverse=True)
    for g in range(int(signature.max()) + 1):
        rows = np.flatnonzero(signature == g)
        members = np.flatnonzero(has[rows[0]])
        if not len(members):
            out[rows] = 1.0 / len(forecasts)
            continue
        able = ~baseline[members] if (~baseline[members]).any() else np.ones(len(members), bool)
        equal = able / able.sum()
        e = errors[np.ix_(members, rows)].reshape(len(members), -1)
        e = e[:, np.isfinite(e).all(axis=0)]
        out[np.ix_(rows, members)] = _simplex(e, equal, shrink) if e.size else equal
    return out


def _simplex(errors: np.ndarray, towards: np.ndarray, shrink: float) -> np.ndarray:
    """Weights [K] on the simplex that minimise the mean square of the weighted errors [K, n] plus `shrink` times the distance to `towards`."""
    from scipy.optimize import nnls  # here: processes that only read what a blend tells of itself do without its 13 MB

    cover = errors @ errors.T / errors.shape[1]
    size = max(float(np.diag(cover).min()), 1e-9 * float(np.diag(cover).max()), 1e-12)
    values, vectors = np.linalg.eigh(cover / size)  # a root that exists although a member was never wrong, or residuals are few
    root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T
    pull = np.sqrt(shrink) * np.eye(len(cover))
    heavy = 1e4  # makes the sum of the weights 1 to within rounding before they are scaled to it
    left = np.vstack([root, pull, np.full((1, len(root)), heavy)])
    w = nnls(left, np.concatenate([np.zeros(len(root)), np.sqrt(shrink) * towards, [heavy]]))[0]
    return np.asarray(w / w.sum())


def combine(forecasts: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted means: [K, M, ...] and [M, K] -> [M, ...]; a missing member's weight goes to the others.

    Raises:
        ValueError: a node has no forecast from any member (a baseline is always among them).
    """
    shape = (*weights.T.shape, *([1] * (forecasts.ndim - 2)))
    w = np.where(np.isfinite(forecasts), weights.T.reshape(shape), 0.0)
    total = w.sum(axis=0)
    alone = np.isfinite(forecasts) & (total == 0)[None]  # all weight lies on members without an opinion: the others share it
    w = np.where(alone, 1.0, w)
    total = w.sum(axis=0)
    if (total == 0).any():
        raise ValueError("a node has no forecast from any member")
    return np.asarray((np.nan_to_num(forecasts) * w).sum(axis=0) / total)


def describe(weights: Mapping[str, float]) -> str:
    """Members that have a weight, the heaviest first: 'blend(boosting 0.62, prophet 0.38)', or the name of the only one."""
    parts = [f"{name} {w:.2f}" for w, name in sorted(((w, name) for name, w in weights.items()), reverse=True) if w > 0]
    return parts[0].split()[0] if len(parts) == 1 else f"blend({', '.join(parts)})"


def members(described: str) -> dict[str, float]:
    """The weights that `describe` told, the heaviest first."""
    if not described.startswith("blend("):
        return {described: 1.0}
    return {name: float(w) for name, w in re.findall(r"(\w+) ([\d.]+)", described.removeprefix("blend("))}
