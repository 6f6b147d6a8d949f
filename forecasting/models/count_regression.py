"""A regression of counts on many columns: log-linear, with the variance of counts, and effects no larger than those of their kind.

Quasi-likelihood with variance mean + phi * mean² (McCullagh & Nelder 1989) by Fisher scoring. Effects have normal priors around 0. Columns
come in groups of one kind (weekdays, holidays, a driver …), and how large the effects of a group are in this very category is learnt with
them: the prior's standard deviations are multiplied by a number a group, found by the EM algorithm (automatic relevance determination,
MacKay 1992; Dempster, Laird & Rubin 1977). So a driver that does nothing here gets no say, although it does much elsewhere.
"""

import numpy as np

FREE = 1e-6  # precision of the constant: none to speak of
MOST_LOG = 12.0  # of a mean while the fit is on its way: 160,000 a day; beyond it a step of the scoring overflows
STEPS = 16  # of Fisher scoring, each with one of the sizes of the groups: these settle slowly, and what is left of their way matters little
FREE_STEPS = 3  # before bursts are cut and sizes are learnt: the fit must know what is usual first
CLOSE = 1e-3  # change of every effect at which the fit has converged
BURST = 4.0  # standard deviations beyond which a day is cut to that: an event is no effect of the calendar
PHI, PHI_LIMITS = 0.02, (1e-4, 2.0)  # dispersion to begin with, and its limits
ALIKE = 1.0  # columns' weight of the opinion that the effects of a group are as large as its prior says
GIVEN = -1  # group of columns whose priors stay as they are


def fit(counts: np.ndarray, columns: np.ndarray, scales: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Effects of columns on the log of the mean.

    Args:
        counts: [n], finite, at least one of them positive.
        columns: [n, P], the first of which is the constant.
        scales: [P] standard deviation that the effect of each column is likely to have; that of the constant is not looked at.
        groups: [P] numbers from 0 of columns whose effects have a size in common, or `GIVEN`.

    Returns:
        [P].
    """
    b = np.zeros(columns.shape[1])
    b[0] = np.log(counts.mean())
    precision = np.concatenate([[FREE], scales[1:] ** -2.0])
    number = np.bincount(groups[groups >= 0], minlength=1)
    sizes, phi, cut = np.ones(len(number)), PHI, counts
    for step in range(STEPS):
        log = np.clip(columns @ b, -MOST_LOG, MOST_LOG)
        mean = np.exp(log)
        if step >= FREE_STEPS:
            scatter = BURST * np.sqrt(mean + phi * mean**2)
            cut = np.clip(counts, mean - scatter, mean + scatter)
            phi = float(np.clip(((cut - mean) ** 2 - mean).sum() / (mean**2).sum(), *PHI_LIMITS))
        weight = mean / (1.0 + phi * mean)
        weighted = columns * weight[:, None]
        gram = weighted.T @ columns
        gram[np.diag_indices_from(gram)] += precision / np.where(groups >= 0, sizes[groups], 1.0)
        covariance = np.linalg.inv(gram)
        new = covariance @ (weighted.T @ (log + (cut - mean) / mean))
        moved, b = float(np.abs(new - b).max()), new
        if step > FREE_STEPS and moved < CLOSE:
            break
        if step >= FREE_STEPS:
            square = ((b**2 + np.diag(covariance)) * precision)[groups >= 0]
            sizes = (np.bincount(groups[groups >= 0], weights=square, minlength=1) + ALIKE) / (number + ALIKE)
    return b
