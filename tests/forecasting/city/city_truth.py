"""The truth about a simulated city in the form in which tests look at it."""

import numpy as np
import pandas as pd

from forecasting.city import City
from forecasting.city.places import CODES, DISTRICT_CODES


class Truth:
    """The true rates of a city as arrays [districts, 28 categories, days]."""

    def __init__(self, city: City) -> None:
        self.days = pd.date_range(city.start, city.end)
        usual = city.truth_rates[city.truth_rates.category.isin(CODES)].sort_values(["district", "category", "date"])
        shape = (len(DISTRICT_CODES), len(CODES), len(self.days))
        order = np.argsort(np.argsort(CODES))
        self.quiet = usual.rate_without_incidents.to_numpy().reshape(shape)[:, order]
        self.raised = usual.rate_with_incidents.to_numpy().reshape(shape)[:, order]

    def city(self, category: str) -> pd.Series:
        """Expected tickets a day of a category in the whole city, without incidents."""
        return pd.Series(self.quiet[:, CODES.index(category)].sum(axis=0), self.days)

    def total(self) -> pd.Series:
        return pd.Series(self.quiet.sum(axis=(0, 1)), self.days)
