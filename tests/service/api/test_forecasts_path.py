"""`/v1/forecasts`: the published distribution, as rows."""

import io
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from api_city import HORIZON, NOW, YESTERDAY, City, forecast_frame
from fastapi.testclient import TestClient
from scipy import stats
from sqlalchemy import event, func, select, update

from service.store import categories, schema
from service.store.engine import writing

LEVELS = {"q05": 0.05, "q10": 0.10, "q25": 0.25, "q50": 0.50, "q75": 0.75, "q90": 0.90, "q95": 0.95}
COLUMNS = ["area", "category", "date", "horizon", "mean", *LEVELS, "model", "issued_at", "run_id"]


def items(client: TestClient, **params: Any) -> list[dict[str, Any]]:
    answer = client.get("/v1/forecasts", params=params)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


def test_a_row_has_the_promised_columns(ask: TestClient) -> None:
    row = items(ask, area="110108", category="HEAT", to="2025-11-09")[0]
    assert list(row) == COLUMNS
    mean = forecast_frame(YESTERDAY).query("area == '110108' and category == 'HEAT' and horizon == 1")["mean"].item()
    assert {name: row[name] for name in ("area", "category", "date", "horizon", "mean", "model", "issued_at", "run_id")} == {
        "area": "110108",
        "category": "HEAT",
        "date": "2025-11-09",
        "horizon": 1,
        "mean": mean,
        "model": "blend",
        "issued_at": "2025-11-09T02:30:00+08:00",
        "run_id": "f00d",
    }


def test_quantiles_are_those_of_the_negative_binomial(ask: TestClient) -> None:
    stored = forecast_frame(YESTERDAY).set_index(["area", "category", "horizon"])
    for row in items(ask, area="ALL,110105", category="ALL,HEAT"):
        mean, dispersion = stored.loc[(row["area"], row["category"], row["horizon"]), ["mean", "dispersion"]]
        variance = mean + dispersion * mean**2
        law = stats.nbinom(mean**2 / (variance - mean), mean / variance)
        for name, level in LEVELS.items():
            value = row[name]
            assert law.cdf(value) >= level > law.cdf(value - 1)


def test_without_a_question_it_tells_every_bottom_series(ask: TestClient) -> None:
    rows = items(ask)
    pairs = {(row["area"], row["category"]) for row in rows}
    assert pairs == {(area, category) for area in ("110105", "110108", "UNKNOWN") for category in ("HEAT", "WATER", "NOISE")}
    assert len(rows) == len(pairs) * HORIZON
    assert rows == sorted(rows, key=lambda row: (row["area"], row["category"], row["date"]))


@pytest.mark.parametrize(
    ("params", "areas"),
    [
        ({"area": "ALL"}, {"ALL"}),
        ({"area": "ALL,110108"}, {"ALL", "110108"}),
        ({"area": ["ALL", "110108, 110105"]}, {"ALL", "110105", "110108"}),
        ({"district": "110108"}, {"110108"}),
        ({"street": "110105A"}, {"110105A"}),
        ({"district": "110108", "street": "110105A"}, {"110108", "110105A"}),
        ({"area": "110105B"}, set()),  # a street that the set does not forecast
    ],
)
def test_any_node_of_the_area_tree_may_be_asked(ask: TestClient, params: dict[str, Any], areas: set[str]) -> None:
    assert {row["area"] for row in items(ask, **params)} == areas


def test_empty_parameters_are_as_good_as_none(ask: TestClient) -> None:
    answer = ask.get("/v1/forecasts?area=&category=&from=&to=&as_of=&format=&next=")
    assert answer.json()["items"] == items(ask)


def test_days_are_cut_to_those_asked_for(ask: TestClient) -> None:
    assert {row["date"] for row in items(ask, **{"from": "2025-11-10"})} == {"2025-11-10", "2025-11-11"}
    assert {row["date"] for row in items(ask, to="2025-11-10")} == {"2025-11-09", "2025-11-10"}
    assert {row["date"] for row in items(ask, **{"from": "2025-11-10", "to": "2025-11-30"})} == {"2025-11-10", "2025-11-11"}


def test_a_code_with_a_comma_can_be_asked_for(city: City, ask: TestClient) -> None:
    with writing(city.engine) as conn:
        categories.join(conn, {"A, B": "ALL"}, NOW)
    assert ask.get("/v1/forecasts", params={"category": "A, B"}).json()["items"] == []
    assert ask.get("/v1/forecasts", params={"category": "A,B"}).status_code == 422


@pytest.mark.parametrize("limit", [1, 4, 27])
def test_pages_together_are_the_whole(ask: TestClient, limit: int) -> None:
    whole, paged, following = items(ask), [], None
    while True:
        answer = ask.get("/v1/forecasts", params={"limit": limit, **({"next": following} if following else {})}).json()
        assert len(answer["items"]) <= limit
        paged += answer["items"]
        following = answer["next"]
        if following is None:
            break
    assert paged == whole


def test_pages_stay_with_their_set_when_a_new_one_is_published(city: City, ask: TestClient) -> None:
    first = ask.get("/v1/forecasts", params={"area": "ALL", "limit": 2}).json()
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), scale=2.0, mlflow_run_id="beef")
    second = ask.get("/v1/forecasts", params={"area": "ALL", "limit": 2, "next": first["next"]}).json()
    assert {row["run_id"] for row in first["items"] + second["items"]} == {"f00d"}
    assert second["items"][0]["horizon"] == 3


def test_a_token_opens_no_set_that_was_never_published(city: City, ask: TestClient) -> None:
    following = ask.get("/v1/forecasts", params={"area": "ALL", "limit": 2}).json()["next"]
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), scale=2.0)
    with writing(city.engine) as conn:
        first = conn.execute(select(func.min(schema.forecast_sets.c.id))).scalar_one()
        conn.execute(update(schema.forecast_sets).where(schema.forecast_sets.c.id == first).values(published_at=None))
    answer = ask.get("/v1/forecasts", params={"area": "ALL", "limit": 2, "next": following})
    assert (answer.status_code, answer.json()["where"]) == (422, "next")


def test_a_moved_pointer_is_seen_at_once(city: City, ask: TestClient) -> None:
    before = items(ask, area="ALL", category="ALL")
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), scale=2.0, mlflow_run_id="beef")
    after = items(ask, area="ALL", category="ALL")
    assert [row["mean"] for row in after] == [2 * row["mean"] for row in before]
    assert {row["run_id"] for row in after} == {"beef"}


def test_an_untracked_run_is_named_by_its_number(city: City, ask: TestClient) -> None:
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), mlflow_run_id=None)
    assert {row["run_id"] for row in items(ask, area="ALL")} == {str(ask.get("/v1/runs").json()["items"][0]["id"])}


@pytest.mark.parametrize(
    ("as_of", "run_id"),
    [
        ("2025-11-08", "old"),  # the end of that day
        ("2025-11-08T05:00+08:00", "old"),
        ("2025-11-08T05:00", "old"),  # local, like every date
        ("2025-11-07T21:00Z", "old"),
        ("2025-11-09T02:30:00+08:00", "f00d"),
        ("2025-11-09", "f00d"),
    ],
)
def test_as_of_tells_what_was_known_then(city: City, ask: TestClient, as_of: str, run_id: str) -> None:
    city_night = datetime.combine(YESTERDAY, datetime.min.time(), NOW.tzinfo) + timedelta(hours=2, minutes=30)
    city.publish(YESTERDAY - timedelta(days=1), city_night, scale=3.0, mlflow_run_id="old")
    city.publish(YESTERDAY, NOW - timedelta(hours=5))
    assert {row["run_id"] for row in items(ask, area="ALL", as_of=as_of)} == {run_id}


def test_before_the_first_set_as_of_finds_nothing(ask: TestClient) -> None:
    answer = ask.get("/v1/forecasts", params={"as_of": "2025-11-01"})
    assert answer.status_code == 404
    assert answer.json()["where"] == "as_of"


def test_the_csv_twin_has_the_same_rows(ask: TestClient) -> None:
    answer = ask.get("/v1/forecasts", params={"format": "csv", "area": "ALL"})
    table = pd.read_csv(io.StringIO(answer.text))
    assert list(table.columns) == COLUMNS
    assert table.to_dict("records") == items(ask, area="ALL")
    assert answer.headers["content-disposition"] == 'attachment; filename="forecasts-2025-11-08.csv"'


def test_a_csv_holds_all_rows_unless_a_limit_is_given(ask: TestClient) -> None:
    assert len(ask.get("/v1/forecasts", params={"format": "csv"}).text.splitlines()) == 1 + 27
    first = ask.get("/v1/forecasts", params={"format": "csv", "limit": 20})
    assert len(first.text.splitlines()) == 1 + 20
    second = ask.get(first.links["next"]["url"])
    assert len(second.text.splitlines()) == 1 + 7
    assert "next" not in second.links


def test_a_csv_for_excel_begins_with_a_byte_order_mark_and_another_does_not(ask: TestClient) -> None:
    assert ask.get("/v1/forecasts", params={"format": "csv", "bom": True}).content.startswith(b"\xef\xbb\xbfarea,")
    assert ask.get("/v1/forecasts", params={"format": "csv"}).content.startswith(b"area,")


def test_an_empty_csv_has_its_header(ask: TestClient) -> None:
    assert ask.get("/v1/forecasts", params={"format": "csv", "area": "110105B"}).text == ",".join(COLUMNS) + "\r\n"


def test_a_set_is_read_once_and_only_a_few_are_kept(city: City, ask: TestClient) -> None:
    for number in range(5):
        city.publish(date(2025, 11, 1 + number), NOW - timedelta(days=9 - number), mlflow_run_id=f"night {number}")
    for number in range(5):
        moment = NOW - timedelta(days=9 - number)
        assert {row["run_id"] for row in items(ask, area="ALL", as_of=moment.isoformat())} == {f"night {number}"}
    kept = ask.app.state.service.forecasts._sets
    assert len(kept) == 3
    newest = list(kept.values())[-1]
    items(ask, area="110105", as_of=(NOW - timedelta(days=5)).isoformat())
    assert list(kept.values())[-1] is newest
    assert np.all(np.diff(newest.frame["area"].cat.codes) >= 0)


def test_a_set_that_was_asked_for_by_its_moment_is_read_from_the_store_once(city: City, ask: TestClient) -> None:
    city.publish(YESTERDAY, NOW - timedelta(hours=1))
    said: list[str] = []
    engine = ask.app.state.service.engine  # type: ignore[attr-defined]
    event.listen(engine, "before_cursor_execute", lambda _c, _u, statement, *_: said.append(statement))
    read = []
    for _ in range(3):
        said.clear()
        assert items(ask, area="ALL", as_of=(NOW - timedelta(hours=2)).isoformat())
        read.append(sum("forecast_sets.blob" in statement for statement in said))
    assert read == [1, 0, 0]
