"""How far ahead the weather's effect is known: what a forecast of it is worth at each lead, and how long what is unusual lasts.

A weather forecast grows worse with its lead, and beyond its last day an unusually warm spell does not end at once: the effect to be
expected is the season's and a part of what is unusual. Which part is a regression of what came on what had been forecast, as in model
output statistics (Glahn & Lowry 1972); beyond the last forecast day it is damped persistence (Lorenz 1973).
"""

import numpy as np

from forecasting.drivers import YEAR

CLIMATE_DAYS = 31  # around the same day of other years, whose mean factor is the season's
YEARS = 3  # before and after, that make a season
ISSUES = 10  # forecasts that the opinion held before any was seen is worth
EVERY = 5  # days between two forecasts that are learnt from: neighbours tell nearly the same
DIGITS = 4  # of what is stored
LEARNT_DAYS = 3 * YEAR  # of forecasts that are learnt from


def season(factor: np.ndarray, ahead: int) -> np.ndarray:
    """Mean factor of the season.

    The mean of the factor and not the factor of the mean: some rain every day is not what rain is.

    Args:
        factor: [..., n] what the weather multiplied a day's tickets by.
        ahead: days after the last one.

    Returns:
        [..., n + ahead] mean over other years of the 31 days around; where there is no other year, of those of its own.
    """
    n = factor.shape[-1]
    half = CLIMATE_DAYS // 2
    sums = np.cumsum(np.concatenate([np.zeros((*factor.shape[:-1], 1)), factor], axis=-1), axis=-1)
    low, high = np.maximum(np.arange(n) - half, 0), np.minimum(np.arange(n) + half + 1, n)
    smooth = (sums[..., high] - sums[..., low]) / (high - low)
    years = np.delete(np.arange(-YEARS, YEARS + 1), YEARS)  # a day's own year would take part of what is unusual in it for the season
    at = np.arange(n + ahead)[:, None] + YEAR * years
    there = (at >= 0) & (at < n)
    mean = (smooth[..., np.clip(at, 0, n - 1)] * there).sum(axis=-1) / np.maximum(there.sum(axis=-1), 1)
    own = np.concatenate([smooth, np.repeat(smooth[..., -1:], ahead, axis=-1)], axis=-1)
    return np.where(there.any(axis=1), mean, own)


def trust(forecast: np.ndarray, came: np.ndarray) -> np.ndarray:
    """Which part of what is unusual at one lead is to be expected at that or a later one.

    Args:
        forecast: [A, R, H + 1] log factors less the season's, at leads 0 (the day of issue, observed) to H as forecast; NaN where nothing
            was. The A areas have much the same weather, so that they count as one.
        came: [A, R, H + 1] those that came; NaN where they are not known.

    Returns:
        [H + 1, H + 1] in 0 to 1, from lead (row) to lead (column), 0 below the diagonal. Where little was seen, what observations say of days
        so far apart, and for these nothing but the day itself.
    """
    leads = forecast.shape[-1]
    apart = np.arange(leads)[None, :] - np.arange(leads)[:, None]
    persistence = _slopes(came[..., :1], came, np.eye(1, leads))[0]
    opinion = np.where(apart >= 0, persistence[np.maximum(apart, 0)], 0.0)
    return np.asarray(np.clip(np.where(apart >= 0, _slopes(forecast, came, opinion), 0.0), 0.0, 1.0).round(DIGITS))


def expected(log: np.ndarray, usual: np.ndarray, given: np.ndarray, trusted: np.ndarray) -> np.ndarray:
    """Log factors to be expected on the days to come.

    Args:
        log: [H + 1] log factors of the last day known and the days after it, as forecast.
        usual: [H + 1] the season's.
        given: [H + 1] which days were observed or forecast.
        trusted: [H + 1, H + 1] see `trust`.

    Returns:
        [H].
    """
    lead = np.arange(len(log))
    newest = np.maximum.accumulate(np.where(given, lead, -1))
    part = np.where(newest >= 0, trusted[newest, lead], 0.0)
    return np.asarray((usual + part * (log - usual)[newest])[1:])


def _slopes(x: np.ndarray, y: np.ndarray, opinion: np.ndarray) -> np.ndarray:
    """[P, Q] slopes through the origin of each column of y [A, R, Q] on each of x [A, R, P], over the rows that have both; held to `opinion`."""
    areas = len(x)
    there_x, there_y = ~np.isnan(x), (~np.isnan(y)).astype(float)
    x, y = np.where(there_x, x, 0.0), np.nan_to_num(y)
    prior = ISSUES * areas * (x**2).sum() / max(int(there_x.sum()), 1)
    product, square = np.einsum("arp,arq->pq", x, y), np.einsum("arp,arq->pq", x**2, there_y)
    return np.asarray(np.where(square + prior > 0, (product + prior * opinion) / np.maximum(square + prior, 1e-12), opinion))
