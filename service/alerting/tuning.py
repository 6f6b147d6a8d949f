"""What feedback asks for, derived from the verdicts in the store each time: who withdraws a verdict undoes what it did."""

from datetime import datetime, timedelta

from sqlalchemy import Connection

from forecasting.detection import feedback
from forecasting.detection.feedback import Threshold
from forecasting.detection.finding import EXCESS
from forecasting.hierarchy import Tree
from service.store import alerts
from service.store.alerts import AlertFilters


def thresholds(conn: Connection, categories: Tree, moment: datetime) -> dict[str, Threshold]:
    """What the verdicts known at a moment ask for, by category; empty without any.

    Of a verdict that was changed since, only the newest is known; that it was given later makes it none.
    """
    heeded = AlertFilters(kinds=EXCESS, raised_from=moment - timedelta(days=feedback.DAYS))
    counted: dict[str, dict[str, int]] = {}
    for one in alerts.verdicts(conn, heeded, judged_by=moment):
        if one.verdict in ("true", "false"):
            mine = counted.setdefault(one.category, {"true": 0, "false": 0})
            mine[one.verdict] += one.alerts
    return feedback.thresholds({code: (mine["true"], mine["false"]) for code, mine in counted.items()}, categories)


def stricter(conn: Connection, categories: Tree, moment: datetime) -> dict[str, float]:
    """What `excess.detect` takes."""
    return {code: one.stricter for code, one in thresholds(conn, categories, moment).items()}
