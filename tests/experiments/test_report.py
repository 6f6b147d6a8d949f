"""The report of a night: one page that needs nothing else."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tables

from experiments import night, report
from experiments.night import Night
from experiments.report import Before
from forecasting import panel, recipe
from forecasting.hierarchy import Tree
from forecasting.models.base import Known

HORIZON = 14
STRANGE = "噪声 <b>&"  # a category as an export may have it


@pytest.fixture(scope="module")
def result() -> Night:
    counts = tables.counts(tables.tickets(200)).assign(count=lambda f: f["count"] * 5)
    counts["category"] = counts["category"].where(counts["category"] != counts["category"].iloc[0], STRANGE)
    known = Known(panel.from_counts(counts), Tree(), Tree(), None, "none")
    members = {"seasonal_naive": None, "four_week_mean": None, "loglinear": None, "boosting": {"trees": 5, "rows": 2000}}
    return night.train(known, recipe.from_mapping({"windows": 2, "members": members}), HORIZON)


@pytest.fixture(scope="module")
def page(result: Night) -> str:
    return report.page(result)


def test_it_has_every_picture_and_loads_nothing(page: str) -> None:
    for title in ("Scores", "By week ahead", "Calibration", "Skill by category", "The worst series", "What calendar", "What the booster"):
        assert f"<h2>{title}" in page
    assert page.count("<svg") == 6
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)(?!https?://creativecommons|http://purl)""", page)
    assert "<script" not in page
    assert "@import" not in page


def test_without_pictures_it_has_the_tables(result: Night) -> None:
    page = report.page(result, drawn=False)
    assert "<h2>What changed" in page
    assert "<td>series</td>" in page[page.index("<h2>Scores") :]
    assert "<svg" not in page


def test_every_picture_is_well_formed_and_names_are_text(page: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    texts = [" ".join(ElementTree.fromstring(picture).itertext()) for picture in pictures]
    assert sum(STRANGE in text for text in texts) == 2, "a category and a series of that name"
    assert "<b>&<" not in page


def test_what_changed_is_told_against_the_night_before(result: Night) -> None:
    assert "There was no night before" in report.page(result)
    frame = result.forecast_set.frame
    more = frame["mean"] * np.where(frame["category"] == STRANGE, 0.5, 1.0)
    scores = result.scores.assign(WAPE=result.scores["WAPE"] + 0.01)
    page = report.page(result, Before("2025-01-31", scores, frame.assign(mean=more)[["area", "category", "date", "mean"]]))
    first = page[page.index("What changed") : page.index("<h2>Scores")]
    assert "-0.0100" in first
    change = frame.loc[(frame["area"] == "ALL") & (frame["category"] == STRANGE), "mean"].sum() / 2
    assert f"<td>{change:,.1f}</td></tr>" in first


def test_a_history_without_a_backtest_has_a_report_all_the_same() -> None:
    known = Known(panel.from_counts(tables.counts(tables.tickets(20))), Tree(), Tree(), None, "none")
    made = night.train(known, recipe.from_mapping({"members": {"four_week_mean": None}}), HORIZON)
    assert made.backtest.empty
    assert "What calendar and weather add" in report.page(made, Before("2025-01-31", pd.DataFrame([]), made.forecast_set.frame))
