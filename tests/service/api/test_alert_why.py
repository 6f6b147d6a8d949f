"""`/v1/alerts/{id}`: what an alert rests on."""

from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from api_city import NOW, YESTERDAY, Ask, City, forecast_frame, nodes
from fastapi.testclient import TestClient

from service.store import day_scores
from service.store.engine import writing

BEFORE = YESTERDAY - timedelta(days=2)  # cutoff of the set that forecasts yesterday


@pytest.fixture
def city(city: City) -> City:
    """A city whose last two days were watched: ten tickets expected at every node, as many came."""
    city.publish(BEFORE, NOW - timedelta(days=2))
    city.publish(YESTERDAY, NOW - timedelta(hours=4))
    watched(city, {})
    return city


def watched(city: City, came: dict[tuple[str, str], list[int]], until: date = YESTERDAY, expected: float = 10.0) -> None:
    """Scores of the last days: what came at some nodes, ten elsewhere."""
    days = max((len(counts) for counts in came.values()), default=2)
    for k in range(days):
        frame = pd.DataFrame(nodes(), columns=["area", "category"])
        numbers = [came[node][k] if node in came else 10 for node in nodes()]
        with writing(city.engine) as conn:
            scores = frame.assign(observed=numbers, expected=expected, p_value=0.5, pit=0.5)
            day_scores.put(conn, until - timedelta(days=days - 1 - k), 2, scores)


def why(client: TestClient, alert_id: str = "a") -> Any:
    answer = client.get(f"/v1/alerts/{alert_id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["why"]


def test_what_came_since_the_onset_is_told(city: City, ask: TestClient) -> None:
    watched(city, {("110108", "HEAT"): [30, 61]})
    city.alert("a", onset=YESTERDAY - timedelta(days=1))
    assert why(ask)["since"] == {"first_day": "2025-11-07", "last_day": "2025-11-08", "observed": 91, "expected": 20}


def test_the_districts_carry_the_city_s_event(city: City, ask: TestClient) -> None:
    watched(city, {("ALL", "HEAT"): [10, 110], ("110105", "HEAT"): [10, 30], ("110108", "HEAT"): [10, 80], ("UNKNOWN", "HEAT"): [10, 0]})
    city.alert("a", area="ALL")
    (districts,) = why(ask)["carriers"]
    assert districts["by"] == "district"
    assert [(one["code"], one["tickets"], one["usual"], one["share"]) for one in districts["parts"]] == [
        ("110108", 80, 10, 0.7),
        ("110105", 30, 10, 0.2),
    ]
    assert districts["parts"][0]["label"]["zh"] == "海淀区"
    assert districts["rest"] == pytest.approx(0.1)


def test_streets_and_categories_carry_what_is_above_them(city: City, ask: TestClient) -> None:
    came = {("110105", "UTILITY"): [10, 50], ("110105A", "UTILITY"): [10, 40], ("110105", "HEAT"): [10, 45], ("110105", "WATER"): [10, 15]}
    watched(city, came)
    city.alert("a", area="110105", category="UTILITY")
    streets, categories = why(ask)["carriers"]
    assert (streets["by"], [(one["code"], one["share"]) for one in streets["parts"]]) == ("street", [("110105A", 0.75)])
    assert (categories["by"], [(one["code"], one["share"]) for one in categories["parts"]]) == ("category", [("HEAT", 0.875), ("WATER", 0.125)])
    for carriers in (streets, categories):
        assert sum(one["share"] for one in carriers["parts"]) + carriers["rest"] == pytest.approx(1)


def test_a_limited_key_sees_its_own_districts_and_the_others_as_the_rest(city: City, ask_as: Ask) -> None:
    watched(city, {("ALL", "HEAT"): [10, 110], ("110105", "HEAT"): [10, 30], ("110108", "HEAT"): [10, 90]})
    city.alert("a", area="ALL")
    city.alert("other", area="110105", status="resolved", onset=YESTERDAY - timedelta(days=30), raised_at=NOW - timedelta(days=30), resolved_at=NOW)
    told = why(ask_as("alerts:read", districts=["110108"]))
    (districts,) = told["carriers"]
    assert [one["code"] for one in districts["parts"]] == ["110108"]
    assert districts["rest"] == pytest.approx(0.2)
    assert told["similar"] == []


def test_weather_and_calendar_add_up_to_the_forecast_by_which_it_was_found(city: City, ask: TestClient) -> None:
    city.alert("a", forecast_set_id=2)
    at_work = why(ask)["at_work"]
    frame = forecast_frame(BEFORE)
    row = frame[(frame["area"] == "110108") & (frame["category"] == "HEAT") & (frame["date"] == pd.Timestamp(YESTERDAY))]
    assert (at_work["date"], at_work["mean"]) == ("2025-11-08", pytest.approx(row["mean"].item()))
    assert sum(one["tickets"] for one in at_work["contributions"]) == pytest.approx(at_work["mean"])
    assert {"weekday", "holiday", "season", "weather"} <= {one["factor"] for one in at_work["contributions"]}
    assert "海淀区" in at_work["sentence_zh"]
    assert "Haidian" in at_work["sentence_en"]


def test_a_coming_rise_has_its_peak_and_carriers_from_the_forecast(city: City, ask: TestClient) -> None:
    watched(city, {node: [8, 8] for node in nodes() if node[0] != "ALL"})
    peak = YESTERDAY + timedelta(days=2)
    city.alert("a", kind="SEASONAL", area="ALL", forecast_set_id=3, onset=peak, peak=peak, observed=10, expected=40)
    told = why(ask)
    frame = forecast_frame(YESTERDAY).query("category == 'HEAT'").set_index(["area", "date"])["mean"]
    assert (told["likely_peak"]["date"], told["likely_peak"]["passed"]) == (peak.isoformat(), False)
    assert told["likely_peak"]["tickets"] == pytest.approx(frame["ALL", pd.Timestamp(peak)])
    assert told["likely_peak"]["lower"] < told["likely_peak"]["tickets"] < told["likely_peak"]["upper"]
    assert told["at_work"]["date"] == peak.isoformat()
    parts = {one["code"]: one for one in told["carriers"][0]["parts"]}
    assert parts["110108"]["tickets"] == pytest.approx(frame["110108"].mean())
    assert parts["110108"]["usual"] == 8
    assert sum(one["share"] for one in parts.values()) + told["carriers"][0]["rest"] == pytest.approx(1)


def test_a_running_excess_is_likely_to_peak_as_past_ones_fade(city: City, ask: TestClient) -> None:
    watched(city, {("110108", "HEAT"): [30, 61]})
    city.alert("a", onset=YESTERDAY - timedelta(days=1), expected=5.0)
    frame = forecast_frame(YESTERDAY).query("area == '110108' and category == 'HEAT'").sort_values("date")
    likely = [m + (61 - 5) * 0.6**j * (m + 1) / (5 + 1) for j, m in enumerate(frame["mean"], 1)]
    best = max(range(3), key=lambda j: likely[j])
    peak = why(ask)["likely_peak"]
    assert (peak["date"], peak["passed"]) == ((YESTERDAY + timedelta(days=best + 1)).isoformat(), False)
    assert peak["tickets"] == pytest.approx(likely[best])
    watched(city, {("110108", "HEAT"): [900, 61]})
    assert why(ask)["likely_peak"] == {"date": "2025-11-07", "tickets": 900, "lower": None, "upper": None, "passed": True}


def test_similar_events_are_told_with_what_they_became(city: City, ask: TestClient) -> None:
    long_ago = date(2024, 11, 20)
    watched(city, {("110108", "HEAT"): [12, 70, 30], ("ALL", "HEAT"): [12, 99, 30]}, until=long_ago)
    past = {
        "status": "resolved",
        "onset": long_ago - timedelta(days=2),
        "last_day": long_ago,
        "raised_at": NOW - timedelta(days=350),
        "resolved_at": NOW,
    }
    city.alert("here", **past, level="red", verdict="true")
    for number in range(6):
        city.alert(f"city {number}", **past | {"raised_at": NOW - timedelta(days=340 - number)}, area="ALL", kind="EMERGING")
    city.alert("above", **past, category="UTILITY")
    for name, changes in {"other place": {"area": "110105"}, "other category": {"category": "WATER"}, "other kind": {"kind": "DATA"}}.items():
        city.alert(name, **past, **changes)
    city.alert("runs", raised_at=NOW - timedelta(days=9), onset=long_ago)
    city.alert("a")
    similar = why(ask)["similar"]
    assert [one["alert_id"] for one in similar] == ["here", "city 5", "city 4", "city 3", "city 2"]
    here = {"level": "red", "verdict": "true", "days": 3, "peak": "2024-11-19", "observed": 70, "expected": 10}
    assert {name: similar[0][name] for name in here} == here
    assert similar[1]["observed"] == 99
    assert similar[0]["labels"]["area"]["zh"] == "海淀区"


def test_the_threshold_is_that_of_the_moment_at_which_it_was_raised(city: City, ask: TestClient) -> None:
    for number in range(8):
        judged = NOW - timedelta(days=2) if number < 4 else NOW
        city.alert(f"past{number}", verdict="false", judged_at=judged, raised_at=NOW - timedelta(days=9), onset=date(2025, 10, 1))
    city.alert("a")
    city.alert("b", category="NOISE")
    threshold = why(ask)["threshold"]
    assert (threshold["category"], threshold["true"], threshold["false"]) == ("HEAT", 0, 4)
    assert threshold["times_as_often"] == pytest.approx(0.5)
    assert why(ask, "b")["threshold"] is None


@pytest.mark.parametrize("kind", ["SPIKE", "EMERGING", "SEASONAL", "FIRST_SEEN", "DATA"])
def test_of_what_is_not_known_nothing_is_told(city: City, ask: TestClient, kind: str) -> None:
    far = date(2020, 1, 1)
    city.alert("a", kind=kind, category="NEW", area="NOWHERE", onset=far, last_day=far, observed=None)
    told = why(ask)
    assert (told["since"], told["carriers"], told["at_work"], told["likely_peak"], told["similar"]) == (None, [], None, None, [])
