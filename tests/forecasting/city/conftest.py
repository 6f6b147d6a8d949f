"""Cities that several tests look at."""

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from city_truth import Truth

from forecasting.city import City, simulate
from forecasting.city.places import CODES, DISTRICT_CODES


@pytest.fixture(scope="session")
def full() -> City:
    """Three years at the size of the real service."""
    return simulate(seed=0, scale=1.0)


@pytest.fixture(scope="session")
def truth(full: City) -> Truth:
    return Truth(full)


@pytest.fixture(scope="session")
def small() -> City:
    """Three years with ticket rows."""
    return simulate(seed=3, scale=0.05)


@pytest.fixture(scope="session")
def counted(full: City) -> npt.NDArray[np.int64]:
    """Tickets a day as counted: [districts, 28 categories, days], aligned with `truth`."""
    days = pd.date_range(full.start, full.end)
    usual = full.counts[full.counts.category.isin(CODES) & (full.counts.district != "UNKNOWN")]
    cells = np.zeros((len(DISTRICT_CODES), len(CODES), len(days)), np.int64)
    place = (
        pd.Index(DISTRICT_CODES).get_indexer(usual.district),
        pd.Index(CODES).get_indexer(usual.category),
        (usual.date - pd.Timestamp(full.start)).dt.days.to_numpy(),
    )
    np.add.at(cells, place, usual["count"].to_numpy())
    return cells
