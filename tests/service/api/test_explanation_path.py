"""`/v1/forecasts/explain`: why a published forecast is what it is."""

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from api_city import NOW, SHARES, YESTERDAY, Ask, City, forecast_frame
from fastapi.testclient import TestClient

from forecasting import explanation
from forecasting.forecast_set import pack

FACTORS = ["level", "trend", "news", "weekday", "holiday", "season", "weather", "members", "rest"]


def explained(client: TestClient, **params: Any) -> dict[str, Any]:
    answer = client.get("/v1/forecasts/explain", params=params)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_it_tells_the_row_of_the_list_and_what_it_is_made_of(ask: TestClient) -> None:
    told = explained(ask, area="110108", category="HEAT", date="2025-11-10")
    row = ask.get("/v1/forecasts", params={"area": "110108", "category": "HEAT", "from": "2025-11-10", "to": "2025-11-10"}).json()["items"][0]
    assert {name: told[name] for name in row} == row
    assert told["known_until"] == "2025-11-08"
    assert [part["factor"] for part in told["contributions"]] == FACTORS
    for part, share in zip(told["contributions"], SHARES, strict=False):
        assert part["tickets"] == pytest.approx(share * row["mean"], rel=1e-6)
        assert part["percent"] == pytest.approx(100 * share / 0.5, rel=1e-6)


def test_contributions_add_up_to_the_mean(ask: TestClient) -> None:
    for area in ("ALL", "110108", "110105A"):
        told = explained(ask, area=area, category="UTILITY")
        assert sum(part["tickets"] for part in told["contributions"]) == pytest.approx(told["mean"], rel=1e-9)


def test_the_sentence_names_what_moves_it_most(ask: TestClient) -> None:
    told = explained(ask, area="110108", category="HEAT", date="2025-11-09")
    # a mean of 17.1: half of it is usual; season 0.3, weather 0.1; the weekday's and the rest's 0.05 are next
    assert told["sentence_en"].startswith(
        "HEAT in Haidian on Sunday 2025-11-09: 17 tickets expected, 8.6 more than usual: season +5.1, weather +1.7, "
    )
    assert told["sentence_zh"].startswith("海淀区“HEAT”2025-11-09(周日)预计 17 件,比平常多 8.6 件:季节 +5.1,天气 +1.7,")


def test_without_a_question_it_explains_the_first_day_of_the_city(ask: TestClient) -> None:
    told = explained(ask)
    assert (told["area"], told["category"], told["date"], told["horizon"]) == ("ALL", "ALL", "2025-11-09", 1)


def test_members_come_with_their_weights(city: City, ask: TestClient) -> None:
    assert explained(ask)["members"] == [{"name": "blend", "weight": 1.0}]
    frame = forecast_frame(YESTERDAY).assign(model="blend(boosting 0.62, four_week_mean 0.38)")
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), frame=frame)
    assert explained(ask)["members"] == [{"name": "boosting", "weight": 0.62}, {"name": "four_week_mean", "weight": 0.38}]


def test_as_of_explains_what_was_published_then(city: City, ask: TestClient) -> None:
    night = datetime.combine(YESTERDAY, datetime.min.time(), NOW.tzinfo) + timedelta(hours=2)
    city.publish(YESTERDAY - timedelta(days=1), night, scale=3.0, mlflow_run_id="old")
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), mlflow_run_id="new")
    then = explained(ask, date="2025-11-09", as_of="2025-11-08")
    assert (then["run_id"], then["known_until"], then["horizon"]) == ("old", "2025-11-07", 2)
    assert (explained(ask, date="2025-11-09")["run_id"], explained(ask)["known_until"]) == ("new", "2025-11-08")


def test_a_level_of_zero_has_no_percents(city: City, ask: TestClient) -> None:
    frame = forecast_frame(YESTERDAY).assign(mean=0.0, **dict.fromkeys(explanation.COLUMNS, 0.0))
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), frame=frame)
    told = explained(ask)
    assert {part["percent"] for part in told["contributions"]} == {None}
    assert told["sentence_en"] == "all categories in the whole city on Sunday 2025-11-09: 0 tickets expected, as many as usual."


@pytest.mark.parametrize(
    ("params", "status", "where"),
    [
        ({"area": "nowhere"}, 422, "area"),
        ({"category": "nothing"}, 422, "category"),
        ({"area": "110105,110108"}, 422, "area"),
        ({"category": "HEAT,WATER"}, 422, "category"),
        ({"date": "2025-11-12"}, 422, "date"),
        ({"date": "tomorrow"}, 422, "date"),
        ({"day": "2025-11-09"}, 422, "day"),
        ({"area": "110105B"}, 404, "area, category"),  # a street that the set does not forecast
        ({"as_of": "2025-11-01"}, 404, "as_of"),
    ],
)
def test_what_cannot_be_explained_is_a_problem(ask: TestClient, params: dict[str, str], status: int, where: str) -> None:
    answer = ask.get("/v1/forecasts/explain", params=params)
    assert (answer.status_code, answer.json()["where"]) == (status, where)


def test_a_set_of_before_there_were_explanations_says_so_and_is_still_served(city: City, ask: TestClient) -> None:
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), frame=forecast_frame(YESTERDAY).drop(columns=list(explanation.COLUMNS)))
    answer = ask.get("/v1/forecasts/explain")
    assert answer.status_code == 404
    assert "without explanations" in answer.json()["detail"]
    assert len(ask.get("/v1/forecasts").json()["items"]) == 27


def test_a_limited_key_gets_explanations_of_its_own_district_alone(ask_as: Ask) -> None:
    client = ask_as("forecasts:read", districts=["110105"])
    assert explained(client, area="110105")["area"] == "110105"
    assert explained(client, street="110105A")["area"] == "110105A"
    for foreign in ({}, {"area": "ALL"}, {"area": "110108"}):
        assert client.get("/v1/forecasts/explain", params=foreign).status_code == 403
    assert ask_as("alerts:read").get("/v1/forecasts/explain").status_code == 403


def test_before_the_first_set_there_is_nothing_to_explain(ask_bare: TestClient) -> None:
    assert ask_bare.get("/v1/forecasts/explain").status_code == 503


def test_a_week_of_the_outlook_is_explained_too(city: City, ask: TestClient) -> None:
    first = pd.Timestamp(YESTERDAY) + pd.Timedelta(days=1)
    rows = pd.DataFrame(
        [("110108", "HEAT", first + pd.Timedelta(weeks=k), k + 1, 100.0 + k, 0.1, "loglinear") for k in range(13)],
        columns=["area", "category", "date", "week_ahead", "mean", "dispersion", "model"],
    )
    without = pack(rows)
    city.publish(YESTERDAY, NOW - timedelta(minutes=2), outlook=without)
    assert ask.get("/v1/forecasts/explain", params={"area": "110108", "category": "HEAT", "granularity": "week"}).status_code == 404
    shares = dict(zip(explanation.COLUMNS, np.outer(SHARES[: len(explanation.COLUMNS)], rows["mean"]), strict=True))
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), outlook=pack(rows.assign(**shares)))
    told = explained(ask, area="110108", category="HEAT", granularity="week", date=str((first + pd.Timedelta(days=18)).date()))
    assert (told["week_ahead"], told["mean"]) == (3, 102.0)
    assert sum(part["tickets"] for part in told["contributions"]) == pytest.approx(102.0)
    assert told["members"] == [{"name": "loglinear", "weight": 1.0}]
    assert f"in the week from {(first + pd.Timedelta(weeks=2)).date()}" in told["sentence_en"]
    assert "起一周" in told["sentence_zh"]
    assert ask.get("/v1/forecasts/explain", params={"granularity": "hour"}).status_code == 422
