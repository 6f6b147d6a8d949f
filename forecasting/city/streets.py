"""The city's streets (街乡镇): as many as it really has, spread over its districts by population; their names and shares are invented."""

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.city.places import ALL_CODES, DISTRICTS
from forecasting.city.streams import Purpose, stream

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

STREETS = 343
SIZE_SPREAD = 0.5  # sd of the log of a street's size: in a district of twenty the largest has some six times the people of the smallest
TASTE_SPREAD = 0.25  # sd of the log of a street's own taste for a category
MIDDLE_SPREAD = 0.04  # sd of a street's distance from its district's middle (degrees)
_MAP = 0  # the streets' sizes and middles are the same for every seed, as the districts' are


def _rounded(shares: Floats, total: int) -> Ints:
    """Whole numbers near the shares that sum to a total (largest remainders; Hamilton, 1792)."""
    exact = shares / shares.sum() * total
    whole = np.floor(exact).astype(np.int64)
    whole[np.argsort(whole - exact, kind="stable")[: total - whole.sum()]] += 1
    return np.asarray(whole)


NUMBER = _rounded(np.array([d.population for d in DISTRICTS], float), STREETS)  # [districts]
DISTRICT = np.repeat(np.arange(len(DISTRICTS)), NUMBER)  # [streets] place of each street's district
_WITHIN = np.arange(STREETS) - (np.cumsum(NUMBER) - NUMBER)[DISTRICT] + 1  # its number in the district
STREET_CODES = tuple(f"{DISTRICTS[district].code}{number:03d}" for district, number in zip(DISTRICT, _WITHIN, strict=True))


@lru_cache(maxsize=1)
def _map() -> tuple[Floats, Floats]:
    """[streets] sizes and [streets, 2] distances from the middles of their districts."""
    rng = stream(_MAP, Purpose.STREET)
    return np.exp(rng.normal(0, SIZE_SPREAD, STREETS)), rng.normal(0, MIDDLE_SPREAD, (STREETS, 2))


def middles() -> Floats:
    """[streets, 2] degrees north and east of the middle of the district."""
    return _map()[1]


def street_table() -> pd.DataFrame:
    """The streets below their districts: `code, parent, level, zh, en, population`, which sums to the districts'."""
    size = _map()[0]
    population = np.concatenate([_rounded(size[i == DISTRICT], d.population) for i, d in enumerate(DISTRICTS)])
    rows = [
        (code, DISTRICTS[i].code, "street", f"{DISTRICTS[i].zh}第{number}街道", f"{DISTRICTS[i].en} Street {number}", int(people))
        for code, i, number, people in zip(STREET_CODES, DISTRICT, _WITHIN, population, strict=True)
    ]
    return pd.DataFrame(rows, columns=["code", "parent", "level", "zh", "en", "population"])


def shares(seed: int) -> Floats:
    """Share of a district's tickets that each street brings in each category, summing to 1 over the district: [streets, ALL_CODES]."""
    taste = np.exp(stream(seed, Purpose.STREET, 1).normal(0, TASTE_SPREAD, (STREETS, len(ALL_CODES))))
    weight = _map()[0][:, None] * taste
    total = np.add.reduceat(weight, np.cumsum(NUMBER) - NUMBER, axis=0)
    return np.asarray(weight / total[DISTRICT])


def month_of_streets(seed: int, days: pd.DatetimeIndex, district: Ints, category: Ints) -> Ints:
    """The street of each of a month's tickets, -1 for those without a district.

    Args:
        seed: the city's.
        days: the days of the month.
        district: [tickets] places in `PLACES`; those beyond the districts have none.
        category: [tickets] places in `ALL_CODES`.
    """
    rng = stream(seed, Purpose.STREET, days[0].year, days[0].month)
    # Cumulative shares of all cells on one line, each cell from its number to the next: one search finds every ticket's street.
    cells = shares(seed).T.reshape(-1)  # by category, then street
    first = (np.cumsum(NUMBER) - NUMBER)[None, :] + np.arange(len(ALL_CODES))[:, None] * STREETS
    place = np.repeat(np.arange(first.size), np.tile(NUMBER, len(ALL_CODES)))
    within = np.cumsum(cells) - np.concatenate([[0], np.cumsum(cells)])[first.reshape(-1)][place]
    draw = rng.random(len(district))
    known = district < len(DISTRICTS)
    wanted = category * len(DISTRICTS) + np.minimum(district, len(DISTRICTS) - 1)
    found = np.searchsorted(place + np.minimum(within, 1), wanted + draw, side="right")
    last = first.reshape(-1)[wanted] + NUMBER[np.minimum(district, len(DISTRICTS) - 1)] - 1
    return np.where(known, np.minimum(found, last) % STREETS, -1)
