"""The monthly model report: every number of it can be counted by hand."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from promised_city import ALL, PromisedCity, by_hand, counts, day, forecasts
from scipy import stats
from sqlalchemy import Engine

from forecasting.errors import InputError
from forecasting.promised import SUMS
from service.jobs import monitoring, watch
from service.reports import models, shadow
from service.store import alerts, forecast_sets
from service.store.engine import reading, writing

LAST = 68  # the seventh of November 2025
CUTOFF = LAST - 9


@pytest.fixture
def city(engine: Engine, folder: Path) -> PromisedCity:
    """Sixty-eight days of counts; the last nine were forecast, two of them in October."""
    made = PromisedCity(folder, engine)
    made.bring(counts(LAST), day(LAST))
    made.publish(CUTOFF)
    watch.run(engine, made.settings(day(LAST)))
    monitoring.run(engine, made.settings(day(LAST)))
    return made


def report(city: PromisedCity, month: int = 11) -> str:
    with reading(city.engine) as conn:
        return models.markdown(models.read(conn, city.settings(day(LAST)).clock, datetime(2025, month, 15, tzinfo=UTC).date()))


def table_under(text: str, heading: str, which: int = 0) -> list[list[str]]:
    """The cells of a table below a heading, its head left out."""
    section = text.split(f"{heading}\n", 1)[1].split("\n#", 1)[0]
    tables = [part for part in section.strip().split("\n\n") if part.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in tables[which].splitlines()[2:]]


def test_levels_weeks_and_categories_are_those_counted_by_hand(city: PromisedCity) -> None:
    november = [n for n in range(CUTOFF + 1, LAST + 1) if day(n).month == 11]
    table = pd.DataFrame(by_hand(forecasts(CUTOFF), counts(LAST), CUTOFF, range(november[0], LAST + 1)))
    text = report(city)
    assert text.startswith("# Model report 2025-11\n")
    assert f"Days from {day(november[0])} to {day(LAST)}" in text
    series = table[(table["area"] != ALL) & (table["category"] != ALL)]

    def cells(mine: pd.DataFrame) -> list[str]:
        came = mine["actual"].sum()
        numbers = [
            mine["absolute"].sum() / came,
            mine["chance"].sum() / came,
            mine["forecast"].sum() / came - 1,
            mine["in80"].mean(),
            mine["in90"].mean(),
            mine["loss"].sum() / came,
            1 - mine["absolute"].sum() / mine["naive"].sum(),
        ]
        return [f"{len(mine):,}", f"{came:,}", *(f"{100 * number:.1f} %" for number in numbers)]

    levels = {row[0]: row[1:] for row in table_under(text, "## Accuracy by level")}
    assert list(levels) == ["city", "category", "district", "series"]
    assert levels["series"] == cells(series)
    assert levels["city"] == cells(table[(table["area"] == ALL) & (table["category"] == ALL)])
    weeks = {row[0]: row[1:] for row in table_under(text, "### series")}
    assert weeks == {f"{week}": cells(mine) for week, mine in series.groupby((series["horizon"] - 1) // 7 + 1)}
    categories = {row[0]: row[1:] for row in table_under(text, "## By category, whole city")}
    whole = table[(table["area"] == ALL) & (table["category"] != ALL)]
    assert categories == {code: cells(mine) for code, mine in whole.groupby("category")}
    districts = table_under(text, "## By district")
    assert [row[0] for row in districts] == ["West", "East"], "the most tickets first"


def test_the_worst_are_those_farthest_beyond_chance(city: PromisedCity) -> None:
    november = [n for n in range(CUTOFF + 1, LAST + 1) if day(n).month == 11]
    table = pd.DataFrame(by_hand(forecasts(CUTOFF), counts(LAST), CUTOFF, range(november[0], LAST + 1)))
    series = table[(table["area"] != ALL) & (table["category"] != ALL)]
    floor = [stats.poisson(m).expect(lambda k, m=m: abs(k - m), maxcount=2000) for m in series["forecast"]]
    beyond = (series["absolute"] - floor).groupby([series["area"], series["category"]]).sum().sort_values(ascending=False)
    rows = table_under(report(city), "## Worst", 1)
    assert [row[0] for row in rows] == [f"{area} × {category}" for area, category in beyond.index]
    assert [row[-1] for row in rows] == [f"{number:,.0f}" for number in beyond]


def an_alert(alert_id: str, set_id: int, raised_at: datetime, verdict: str | None = None) -> alerts.Alert:
    return alerts.Alert(
        id=alert_id, kind="SPIKE", level="blue", status="resolved", area="East", category="Heat", districts=[], onset=day(LAST), last_day=day(LAST),
        usual_days=3, peak=None, observed=9.0, expected=4.0, lower=1.0, upper=8.0, p_value=0.01, reason_zh="", reason_en="", forecast_set_id=set_id,
        raised_at=raised_at, changed_at=raised_at, resolved_at=None, verdict=verdict, judged_at=raised_at if verdict else None,
    )  # fmt: skip


def test_alerts_are_counted_by_what_they_turned_out_to_be(city: PromisedCity) -> None:
    now = city.settings(day(LAST)).clock.now() - timedelta(minutes=1)
    with writing(city.engine) as conn:
        for table in ("alert_events", "alerts"):
            conn.exec_driver_sql(f"delete from {table}")  # what the made-up forecasts have raised
        set_id = forecast_sets.pointer(conn)
        assert set_id is not None
        for number, verdict in enumerate(["true", "true", "false", "acted", None]):
            alerts.insert(conn, an_alert(f"{number}", set_id, now, verdict), "watch", now)
        alerts.insert(conn, an_alert("of October", set_id, now - timedelta(days=20), "false"), "watch", now)
    assert table_under(report(city), "## Alerts") == [["SPIKE", "5", "2", "1", "1", "1"]]


def test_drift_and_nights_are_told(city: PromisedCity) -> None:
    text = report(city)
    (newest, farthest) = table_under(text, "## What came in")
    assert newest[:2] == ["category", f"newest, to {day(LAST)}"]
    assert farthest[1] == f"farthest, to {day(LAST)}"
    assert "stable" in newest
    assert "0 trained, 0 failed attempts." in text, "the night was in October"
    assert "1 trained, 0 failed attempts." in report(city, 10)


def check(name: str, measured: float, limit: float, passed: bool, at_least: bool = False, where: str = "") -> dict[str, Any]:
    return {"name": name, "measured": measured, "limit": limit, "passed": passed, "at_least": at_least, "where": where, "vital": False}


def test_what_the_gate_said_is_told_check_by_check_with_figure_and_limit(city: PromisedCity) -> None:
    assert "## The gate\n\nThe gate was not asked." in report(city)
    gates = {
        LAST - 3: [check("totals", 1.4, 2.5, True, where="city"), check("coverage 80", 0.81, 0.68, True, True, "series")],
        LAST - 2: [check("totals", 3.25, 2.5, False, where="city"), check("coverage 80", 0.70, 0.68, True, True, "district")],
        LAST - 1: [check("totals", 1.2, 2.5, True, where="city"), check("coverage 80", 0.82, 0.68, True, True, "series")],
    }
    for cutoff, gate in gates.items():
        city.publish(cutoff, published=cutoff != LAST - 2, gate=gate)
    with reading(city.engine) as conn:
        refused = next(one.id for one in forecast_sets.list_sets(conn) if one.refused)
    text = report(city)
    nights = [f"{day(n)}" for n in gates]
    assert table_under(text, "## The gate") == [
        ["totals: times as many (or as few) tickets as in the last four weeks", "3", "1",
         "1.2 (city)", "≤ 2.5", nights[2], "3.25 (city)", "≤ 2.5", nights[1]],
        ["coverage 80: coverage of the 80 % interval", "3", "0",
         "82.0% (series)", "≥ 68.0%", nights[2], "70.0% (districts)", "≥ 68.0%", nights[1]],
    ]  # fmt: skip
    assert table_under(text, "## The gate", 1) == [[nights[1], f"{refused}", "totals", "3.25 (city)", "≤ 2.5", "no"]]


SHADOW = "## The challenger in shadow"


def test_the_challenger_stands_beside_what_was_published_on_the_days_that_both_forecast(city: PromisedCity) -> None:
    assert f"{SHADOW}\n\nNo challenger forecast in shadow" in report(city)
    with writing(city.engine) as conn:
        conn.exec_driver_sql("delete from promised_days")
    city.publish(LAST - 3, seed=5)
    for cutoff in (LAST - 5, LAST - 3):
        city.publish(cutoff, seed=9, published=False, shadow=True)
    monitoring.run(city.engine, city.settings(day(LAST)))
    mine = pd.DataFrame(by_hand(forecasts(LAST - 3, 9), counts(LAST), LAST - 3, range(LAST - 2, LAST + 1)))
    theirs = pd.DataFrame(by_hand(forecasts(LAST - 3, 5), counts(LAST), LAST - 3, range(LAST - 2, LAST + 1)))
    expected = []
    for score, column in (("WAPE", "absolute"), ("WQL", "loss")):
        for level, here in (
            ("city", (theirs["area"] == ALL) & (theirs["category"] == ALL)),
            ("category", (theirs["area"] == ALL) & (theirs["category"] != ALL)),
            ("district", (theirs["area"] != ALL) & (theirs["category"] == ALL)),
            ("series", (theirs["area"] != ALL) & (theirs["category"] != ALL)),
        ):
            came, one, other = theirs.loc[here, "actual"].sum(), theirs.loc[here, column].sum(), mine.loc[here, column].sum()
            worth = [f"{100 * number:.1f} %" for number in (one / came, other / came, other / one - 1)]
            expected.append([score, level, "3", f"{here.sum()}", *worth, "–", "–", "too few days to tell"])
    assert table_under(report(city), SHADOW) == expected, "what was forecast five days ahead was published by none, and is no pair"


@pytest.mark.parametrize(("factor", "told"), [(0.9, "better"), (1.1, "worse"), (1.0, "no difference beyond noise")])
def test_a_difference_that_every_week_shows_is_one_and_noise_is_not(factor: float, told: str) -> None:
    rng = np.random.default_rng(0)
    losses = rng.gamma(20, 10, 28)
    other = factor * losses * rng.uniform(0.97, 1.03, 28)
    days = pd.date_range("2025-11-01", periods=28)
    both = pd.DataFrame({"level": "city", "day": days, "horizon": 1})
    for which, loss in (("_published", losses), ("_challenger", other)):
        both = both.assign(**{f"{name}{which}": 1 for name in SUMS} | {f"absolute{which}": loss, f"loss{which}": loss, f"actual{which}": 1000})
    rows = table_under(f"{SHADOW}\n\n{shadow.markdown(both)}", SHADOW)
    assert [row[-1] for row in rows] == [told, told]
    assert rows[0][6] == f"{100 * (other.sum() / losses.sum() - 1):.1f} %"


def test_a_month_that_was_not_compared_is_bad_input(city: PromisedCity) -> None:
    with pytest.raises(InputError, match=r"no day of 2025-08 was compared.*the days from 2025-10-30 to 2025-11-07"):
        report(city, 8)
