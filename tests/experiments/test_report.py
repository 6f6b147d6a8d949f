"""The report of a night: one page that needs nothing else."""

import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import tables

from experiments import night, report
from experiments.gate import Check
from experiments.night import Night
from experiments.report import Before, Verdict
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
    page = report.page(result, Before("2025-01-31", scores, frame.assign(mean=more)[["area", "category", "date", "mean"]], result.recipe.mapping()))
    first = page[page.index("What changed") : page.index("<h2>Scores")]
    assert "-0.0100" in first
    change = frame.loc[(frame["area"] == "ALL") & (frame["category"] == STRANGE), "mean"].sum() / 2
    assert f"<td>{change:,.1f}</td></tr>" in first
    assert "The recipe is the champion's." in first


def test_what_the_recipe_has_otherwise_than_the_champion_s_is_told_setting_by_setting(result: Night) -> None:
    mapping = result.recipe.mapping()
    boosting = {name: value for name, value in mapping["members"]["boosting"].items() if name != "rows"} | {"trees": 300, STRANGE: 1}
    members = {name: settings for name, settings in mapping["members"].items() if name != "loglinear"} | {"boosting": boosting, "usual_weeks": {}}
    before = Before("2025-01-31", pd.DataFrame([]), result.forecast_set.frame, mapping | {"windows": 6, "members": members})
    page = report.page(result, before, drawn=False)
    told = dict(re.findall(r"<tr><td>([^<]*)</td><td>([^<]*</td><td>[^<]*)</td></tr>", page[: page.index("Tickets of the")]))
    assert told == {
        "windows": "6</td><td>2",
        "members.boosting.trees": "300</td><td>5",
        "members.boosting.rows": "–</td><td>2000",
        "members.boosting.噪声 &lt;b&gt;&amp;": "1</td><td>–",
        "members.usual_weeks": "without settings</td><td>–",
        **{f"members.loglinear.{name}": f"–</td><td>{value}" for name, value in mapping["members"]["loglinear"].items()},
    }


def test_the_gate_is_told_check_by_check_with_what_came_of_it(result: Night) -> None:
    checks = [
        Check("complete", 0.0, 0.0, vital=True),
        Check("WRMSSE champion", 0.0512, 0.01, where="series"),
        Check("coverage 80", 0.81, 0.62, at_least=True, where="city"),
        Check("alerts", np.nan, 3.0),
    ]
    page = report.page(result, None, False, Verdict([check.told() for check in checks], "It is <refused>."))
    section = page[page.index("<h2>The gate") : page.index("<h2>Scores")]
    assert "<p>It is &lt;refused&gt;.</p>" in section
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", section)[1:]]
    assert rows == [
        ["forecasts that are missing or wrong", "", "0", "at most 0", "yes"],
        ["WRMSSE above that of the recipe served", "series", "5.1%", "at most 1.0%", "no"],
        ["coverage of the 80 % interval", "city", "81.0%", "at least 62.0%", "yes"],
        ["alerts, in budgets", "", "?", "at most 3", "no"],
    ]


def test_a_night_that_no_gate_judged_says_nothing_of_one(page: str) -> None:
    assert "The gate" not in page


def test_a_history_without_a_backtest_has_a_report_all_the_same() -> None:
    known = Known(panel.from_counts(tables.counts(tables.tickets(20))), Tree(), Tree(), None, "none")
    made = night.train(known, recipe.from_mapping({"members": {"four_week_mean": None}}), HORIZON)
    assert made.backtest.empty
    assert "What calendar and weather add" in report.page(
        made, Before("2025-01-31", pd.DataFrame([]), made.forecast_set.frame, made.recipe.mapping())
    )
