"""`/v1/accuracy` against what `/v1/forecasts?as_of=` published and `/v1/counts` says came."""

import io
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd
import pytest
from api_city import HORIZON, YESTERDAY, ZONE, Ask, City, forecast_frame
from fastapi.testclient import TestClient

from forecasting.forecast_set import ForecastSet
from service.jobs import monitoring, promised
from service.store import forecast_sets, runs
from service.store.engine import writing

CUTOFFS = [YESTERDAY - timedelta(days=back) for back in range(10, 0, -1)]
FIRST = CUTOFFS[0] + timedelta(days=1)
LEAVES = ("HEAT", "NOISE", "WATER")
DISTRICTS = ("110105", "110108", "UNKNOWN")
LEVELS = {"q05": 0.05, "q10": 0.1, "q25": 0.25, "q50": 0.5, "q75": 0.75, "q90": 0.9, "q95": 0.95}


@pytest.fixture
def compared(city: City) -> City:
    """Ten nights published, each at two in the morning, and compared with what came."""
    for number, cutoff in enumerate(CUTOFFS):
        at = datetime.combine(cutoff + timedelta(days=1), datetime.min.time(), ZONE) + timedelta(hours=2)
        city.publish(cutoff, at, scale=0.3 + number / 20)
    promised.run(city.engine, city.settings)
    return city


def by_hand(client: TestClient) -> pd.DataFrame:
    """Every promise beside what came, by what the API says of both."""
    nodes = {"area": ["ALL", *DISTRICTS], "category": ["ALL", *LEAVES]}
    came = pd.DataFrame(client.get("/v1/counts", params={**nodes, "from": "2025-10-01", "to": str(YESTERDAY), "limit": 20000}).json()["items"])
    known = came.set_index(["area", "category", "date"])["count"]
    parts = []
    for cutoff in CUTOFFS:
        rows = client.get("/v1/forecasts", params={**nodes, "as_of": str(cutoff + timedelta(days=1)), "limit": 20000}).json()["items"]
        parts.append(pd.DataFrame(rows).assign(cutoff=cutoff))
    table = pd.concat(parts, ignore_index=True)
    table = table[table["date"] <= str(YESTERDAY)].reset_index(drop=True)
    keys = list(zip(table["area"], table["category"], table["date"], strict=True))
    table["actual"] = [known[key] for key in keys]
    table["naive"] = [known[area, category, str(date.fromisoformat(day) - timedelta(days=7))] for area, category, day in keys]
    table["level"] = [
        {(True, True): "city", (True, False): "category", (False, True): "district", (False, False): "series"}[area == "ALL", category == "ALL"]
        for area, category, _ in keys
    ]
    return table


def scores(table: pd.DataFrame) -> dict[str, Any]:
    came, error = table["actual"].sum(), (table["mean"] - table["actual"]).abs().sum()
    pinball = sum((2 * (table["actual"] - table[q]) * (level - (table["actual"] < table[q]))).sum() / len(LEVELS) for q, level in LEVELS.items())
    return {
        "rows": len(table),
        "actual": came,
        "forecast": table["mean"].sum(),
        "wape": error / came,
        "bias": table["mean"].sum() / came - 1,
        "wql": pinball / came,
        "cover80": table["actual"].between(table["q10"], table["q90"]).mean(),
        "cover90": table["actual"].between(table["q05"], table["q95"]).mean(),
        "skill": 1 - error / (table["naive"] - table["actual"]).abs().sum(),
    }


def items(client: TestClient, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/accuracy", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def agrees(row: dict[str, Any], table: pd.DataFrame) -> None:
    expected = scores(table)
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_each_level_is_what_can_be_counted_from_the_forecasts_as_they_were_published(compared: City, ask: TestClient) -> None:
    table = by_hand(ask)
    found = items(ask)
    assert [row["level"] for row in found] == ["city", "category", "district", "series"]
    for row in found:
        agrees(row, table[table["level"] == row["level"]])
        assert (row["first_day"], row["last_day"]) == (str(FIRST), str(YESTERDAY))
        assert (row["area"], row["category"], row["horizon"]) == (None, None, None)
        assert 0 < row["chance"] < row["wape"] + 1


def test_the_challenger_is_told_apart_and_only_if_it_is_asked_for(compared: City, ask: TestClient) -> None:
    before = items(ask)
    assert items(ask, of="challenger") == [], "none has forecast yet"
    cutoff = YESTERDAY - timedelta(days=2)
    at = datetime.combine(cutoff + timedelta(days=1), datetime.min.time(), ZONE) + timedelta(hours=3)
    with writing(compared.engine) as conn:
        run, frame = runs.newest_success(conn), forecast_frame(cutoff, 2.0)
        assert run is not None
        row = {"run_id": run.id, "mlflow_run_id": None, "cutoff": cutoff, "horizon": HORIZON, "issued_at": at, "rows": len(frame)}
        shadow = forecast_sets.add(conn, **row, blob=ForecastSet(frame, {}).to_parquet(), shadow=True)
    promised.run(compared.engine, compared.settings)
    promised.run(compared.engine, compared.settings, "challenger")
    assert items(ask) == before == items(ask, of="published")
    city = next(row for row in items(ask, of="challenger") if row["level"] == "city")
    node = frame[(frame["area"] == "ALL") & (frame["category"] == "ALL") & (frame["horizon"] <= 2)]
    assert (city["first_day"], city["last_day"], city["rows"]) == (str(cutoff + timedelta(days=1)), str(YESTERDAY), 2)
    assert city["forecast"] == pytest.approx(node["mean"].sum())
    told = {row["id"]: row["shadow"] for row in ask.get("/v1/models").json()["items"]}
    assert [number for number, is_shadow in told.items() if is_shadow] == [shadow]
    assert ask.get("/v1/accuracy", params={"of": "both"}).status_code == 422


def test_it_is_told_by_horizon_week_day_and_node(compared: City, ask: TestClient) -> None:
    table = by_hand(ask)
    series, districts = table[table["level"] == "series"], table[table["level"] == "district"]
    found = items(ask, level="series", by="horizon")
    assert [row["horizon"] for row in found] == list(range(1, HORIZON + 1))
    for row in found:
        agrees(row, series[series["horizon"] == row["horizon"]])
    (week,) = items(ask, level="series", by="week_ahead")
    assert week["week_ahead"] == 1
    agrees(week, series)
    for row in items(ask, level="series", by="category"):
        agrees(row, series[series["category"] == row["category"]])
    for row in items(ask, level="district", by=["district", "day"], horizon=2):
        mine = districts[(districts["area"] == row["area"]) & (districts["date"] == row["last_day"]) & (districts["horizon"] == 2)]
        agrees(row, mine)
    weeks = items(ask, level="city", by="week")
    assert [(row["first_day"], row["last_day"]) for row in weeks] == [(str(FIRST), "2025-11-02"), ("2025-11-03", str(YESTERDAY))]
    whole = table[table["level"] == "city"]
    october = (whole["date"] < "2025-11-01").sum()
    assert [row["rows"] for row in items(ask, level="city", by="month")] == [october, len(whole) - october]


def test_areas_and_categories_choose_the_levels_that_know_them(compared: City, ask: TestClient) -> None:
    table = by_hand(ask)
    found = items(ask, district="110108")
    assert [row["level"] for row in found] == ["district", "series"]
    for row in found:
        agrees(row, table[(table["level"] == row["level"]) & (table["area"] == "110108")])
    found = items(ask, category="UTILITY")
    assert [row["level"] for row in found] == ["category", "series"]
    for row in found:
        agrees(row, table[(table["level"] == row["level"]) & table["category"].isin(["HEAT", "WATER"])])
    assert items(ask, area="ALL", category="ALL") == items(ask)


def test_a_rolling_row_is_what_its_days_are_asked_for_alone(compared: City, ask: TestClient) -> None:
    found = items(ask, level="series", by=["day"], rolling=7, **{"from": "2025-11-05"})
    assert [row["last_day"] for row in found] == [f"2025-11-0{n}" for n in range(5, 9)]
    for row in found:
        (alone,) = items(ask, level="series", **{"from": row["first_day"], "to": row["last_day"]})
        assert row == alone
        assert date.fromisoformat(row["first_day"]) == max(date.fromisoformat(row["last_day"]) - timedelta(days=6), FIRST)


def test_a_limited_key_sees_its_own_districts_and_nothing_of_the_whole_city(compared: City, ask: TestClient, ask_as: Ask) -> None:
    mine = items(ask, district="110108", by=["district", "day"])
    client = ask_as("forecasts:read", districts=["110108"])
    found = items(client)
    assert [row["level"] for row in found] == ["district", "series"]
    assert items(client, by=["district", "day"]) == mine
    assert {row["area"] for row in mine} == {"110108"}
    for params in (
        {"level": "city"},
        {"level": ["district", "category"]},
        {"by": "category"},
        {"category": "HEAT"},
        {"area": "ALL"},
        {"area": "110105"},
    ):
        answer = client.get("/v1/accuracy", params=params)
        assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json"), params
        assert "110108" in answer.json()["detail"]
    assert client.get("/v1/accuracy/drift").status_code == 403


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"by": ["day", "week"]}, "by"),
        ({"by": "hour"}, "by.0"),
        ({"rolling": 7}, "rolling"),
        ({"by": "day", "rolling": 1}, "rolling"),
        ({"area": "110105A"}, "area"),
        ({"area": "nowhere"}, "area"),
        ({"district": "110105", "category": "HEAT"}, "area, category"),
        ({"level": "city", "by": "category"}, "level"),
        ({"level": "district", "category": "HEAT"}, "level"),
        ({"horizon": 0}, "horizon.0"),
        ({"from": "2025-12-01"}, "from, to"),
        ({"to": "2025-01-01"}, "from, to"),
    ],
)
def test_a_question_that_cannot_be_answered_says_why(compared: City, ask: TestClient, params: dict[str, Any], where: str) -> None:
    answer = ask.get("/v1/accuracy", params=params)
    assert answer.status_code == 422, answer.text
    assert answer.json()["where"] == where
    assert answer.json()["mend"]


def test_before_anything_was_compared_there_is_nothing(ask: TestClient) -> None:
    assert ask.get("/v1/accuracy").json() == {"items": [], "next": None}
    assert ask.get("/v1/accuracy/drift").json() == {"items": [], "next": None}


def test_pages_and_the_table_are_the_same_rows(compared: City, ask: TestClient) -> None:
    question: dict[str, Any] = {"level": "series", "by": ["category", "day"]}
    whole = items(ask, **question)
    rows: list[dict[str, Any]] = []
    following = None
    while True:
        answer = ask.get("/v1/accuracy", params={**question, "limit": 7, **({"next": following} if following else {})}).json()
        rows += answer["items"]
        following = answer["next"]
        if following is None:
            break
    assert rows == whole
    text = ask.get("/v1/accuracy", params={**question, "format": "csv"}).text
    table = pd.read_csv(io.StringIO(text))
    assert list(table.columns) == list(whole[0])
    assert table["wape"].tolist() == pytest.approx([row["wape"] if row["wape"] is not None else float("nan") for row in whole], nan_ok=True)


def test_drift_is_told_with_the_parts_that_moved(compared: City, ask: TestClient) -> None:
    came = pd.DataFrame(
        ask.get("/v1/counts", params={"area": "ALL", "category": list(LEAVES), "from": "2025-10-05", "to": "2025-11-08"}).json()["items"]
    )
    last = came["date"] > "2025-11-01"
    before, since = (came[here].groupby("category")["count"].sum() for here in (~last, last))
    monitoring.run(compared.engine, compared.settings)
    (row,) = ask.get("/v1/accuracy/drift").json()["items"]
    assert (row["date"], row["input"], row["tickets"]) == (str(YESTERDAY), "category", since.sum())
    assert {part["code"]: part["before"] for part in row["parts"]} == pytest.approx((before / before.sum()).to_dict())
    assert {part["code"]: part["last"] for part in row["parts"]} == pytest.approx((since / since.sum()).to_dict())
    assert row["state"] == "stable"
    with writing(compared.engine) as conn:
        conn.exec_driver_sql("update input_drift set psi = 0.5")
    (row,) = ask.get("/v1/accuracy/drift", params={"from": "2025-11-01"}).json()["items"]
    assert row["state"] == "much"
    assert ask.get("/v1/accuracy/drift", params={"to": "2025-11-01"}).json()["items"] == []


@pytest.mark.parametrize("question", [{"level": "district", "by": ["district", "day"]}, {"level": "series", "by": ["category", "horizon"]}, {}])
def test_pages_go_on_behind_the_last_row_though_rows_have_come_before_it(compared: City, ask: TestClient, question: dict[str, Any]) -> None:
    whole = items(ask, **question)
    first = ask.get("/v1/accuracy", params={**question, "limit": 2}).json()
    cutoff = YESTERDAY - timedelta(days=14)  # earlier days are compared meanwhile, and a later one
    compared.publish(cutoff, datetime.combine(cutoff + timedelta(days=1), datetime.min.time(), ZONE) + timedelta(hours=2))
    promised.run(compared.engine, compared.settings)
    rest, following = [], first["next"]
    while following:
        page = ask.get("/v1/accuracy", params={**question, "limit": 2, "next": following}).json()
        rest, following = rest + page["items"], page["next"]
    keys = ("level", "area", "category", "horizon", "last_day")
    assert [[row[key] for key in keys] for row in first["items"] + rest] == [[row[key] for key in keys] for row in whole]
