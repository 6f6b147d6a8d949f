"""Delay curves against shares counted by hand."""

import numpy as np
import pandas as pd
import pytest

from forecasting import delay
from forecasting.delay import LEAST, MOST, Delay
from forecasting.hierarchy import ALL


def arrived(day: str, category: str, known: list[int], total: int | None = None) -> dict[str | int, object]:
    """One day's tickets by lag; the last number holds on."""
    full = [*known, *[known[-1]] * (MOST + 1 - len(known))]
    return {"day": day, "category": category, **dict(enumerate(full)), "total": full[-1] if total is None else total}


def test_the_share_known_after_each_day_is_that_of_all_tickets() -> None:
    rows = [arrived("2025-01-01", "X", [300, 400]), arrived("2025-01-02", "X", [300, 300, 400]), arrived("2025-01-02", "Y", [10])]
    curves = delay.estimate(pd.DataFrame(rows))
    assert set(curves) == {ALL, "X"}  # Y has too few tickets for a curve of its own
    assert curves["X"].known[:4] == pytest.approx((600 / 800, 700 / 800, 1.0, 1.0))
    assert curves[ALL].known[0] == pytest.approx(610 / 810, abs=1e-6)
    assert (curves["X"].complete_after, curves["X"].tickets) == (2, 800)


def test_history_that_was_loaded_as_a_whole_tells_nothing() -> None:
    live = [arrived("2025-01-01", "X", [950, 1000])]
    history = [arrived(f"2024-12-{day:02d}", "X", [0], total=1000) for day in range(1, 20)]
    assert delay.estimate(pd.DataFrame(live + history)) == delay.estimate(pd.DataFrame(live))
    assert delay.estimate(pd.DataFrame(history)) == {}


def test_a_curve_never_falls_and_ends_at_one_although_tickets_are_taken_away() -> None:
    curve = delay.estimate(pd.DataFrame([arrived("2025-01-01", "X", [400, 520, 500])]))[ALL]
    assert (np.diff(curve.known) >= 0).all()
    assert curve.known[-1] == 1.0


def test_too_few_tickets_give_no_curve_and_no_wait() -> None:
    curves = delay.estimate(pd.DataFrame([arrived("2025-01-01", "X", [LEAST - 1])]))
    assert curves == {}
    assert delay.complete_after(curves) == 0
    assert delay.complete_after({ALL: Delay((0.5, 0.89, 0.9, 1.0), 1000)}) == 2
