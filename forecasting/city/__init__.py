"""The simulated city: a demo's and a test's hotline, with the truth about its incidents and data faults. Its numbers describe no real place."""

from forecasting.city.feed import deliveries
from forecasting.city.simulate import City, simulate, write

__all__ = ["City", "deliveries", "simulate", "write"]
