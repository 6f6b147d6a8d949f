"""The cities of the jobs' tests."""

from collections.abc import Mapping, Sequence

import pytest
from trained_cities import bare, made_once, trained, unseen

from experiments import report
from experiments.night import Night
from service.jobs import tracked

__all__ = ["bare", "made_once", "trained", "unseen"]


@pytest.fixture(autouse=True)
def _undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports of nights have no pictures: to draw them takes a third of a night. `test_report.py` looks at them."""
    monkeypatch.setattr(report, "_pictures", lambda _: [])


@pytest.fixture
def without_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights are published as where MLflow is out of reach: to draw and send their records takes longer than all the rest."""

    def nobody(_: object, __: object, made: Sequence[tuple[Night, Mapping[str, str]]], ___: object = None) -> list[None]:
        return [None] * len(made)

    monkeypatch.setattr(tracked, "record", nobody)
