"""Random streams of the simulated city: one for each purpose, year and month, so that a day is the same whatever range is asked for."""

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is drawn for; the numbers are part of the seed."""

    MIX = 1
    WEATHER = 2
    FORECAST = 3
    SHOCK = 4
    INCIDENT = 5
    FAULT = 6
    COUNT = 7
    TICKET = 8
    STREET = 9
    FEED = 10


def stream(seed: int, purpose: Purpose, *place: int) -> np.random.Generator:
    """A generator that depends on the seed, the purpose and the place (a year, or a year and a month) alone."""
    return np.random.default_rng([seed, int(purpose), *place])
