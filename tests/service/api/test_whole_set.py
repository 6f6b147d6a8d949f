"""The whole city's set as one Parquet file."""

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api_city import HORIZON, NOW, YESTERDAY, City, nodes
from fastapi.testclient import TestClient

from forecasting import forecast_set
from service import whole_set
from service.store import forecast_sets
from service.store.engine import reading

QUESTION = {"nodes": "all", "format": "parquet"}


def rows(content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content))


def file_of(city: City) -> list[Path]:
    return sorted((city.settings.data_dir / "forecasts").iterdir())


def test_every_node_and_day_is_in_it_with_the_numbers_of_the_list(ask: TestClient) -> None:
    answer = ask.get("/v1/forecasts", params=QUESTION)
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-disposition"] == 'attachment; filename="forecasts-all-2025-11-08.parquet"'
    table = rows(answer.content)
    assert table.num_rows == len(nodes()) * HORIZON
    items = ask.get("/v1/forecasts", params={"nodes": "all"}).json()["items"]
    assert table.column_names == list(items[0])
    told = [{name: value.isoformat() if hasattr(value, "isoformat") else value for name, value in row.items()} for row in table.to_pylist()]
    assert told == items


def test_it_is_the_same_table_as_one_that_is_written_while_it_is_sent(ask: TestClient) -> None:
    kept = rows(ask.get("/v1/forecasts", params=QUESTION).content)
    sent = rows(ask.get("/v1/forecasts", params={**QUESTION, "limit": 20_000}).content)  # a limit: it is no longer the whole set that is asked for
    assert sent.schema.equals(kept.schema)
    assert sent.equals(kept)


def test_who_has_it_already_is_told_so(city: City, ask: TestClient) -> None:
    first = ask.get("/v1/forecasts", params=QUESTION)
    tag = first.headers["etag"]
    for given in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        again = ask.get("/v1/forecasts", params=QUESTION, headers={"If-None-Match": given})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert ask.get("/v1/forecasts", params=QUESTION, headers={"If-None-Match": '"other"'}).status_code == 200
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), scale=2.0)
    new = ask.get("/v1/forecasts", params=QUESTION, headers={"If-None-Match": tag})
    assert new.status_code == 200
    assert new.headers["etag"] != tag
    assert rows(new.content)["mean"].to_pylist() == [2 * mean for mean in rows(first.content)["mean"].to_pylist()]


def test_it_is_made_once_and_the_one_before_is_deleted(city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    ask.get("/v1/forecasts", params=QUESTION)
    (first,) = file_of(city)
    monkeypatch.setattr(whole_set, "with_quantiles", None)  # would fail if it were made again
    assert ask.get("/v1/forecasts", params=QUESTION).status_code == 200
    monkeypatch.setattr(whole_set, "with_quantiles", forecast_set.with_quantiles)
    (first.parent / "7-0.999.part").write_bytes(b"of a process that was killed")
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), scale=2.0)
    ask.get("/v1/forecasts", params=QUESTION)
    (second,) = file_of(city)
    assert second != first


def test_what_the_night_makes_ready_is_what_the_api_sends(city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    with reading(city.engine) as conn:
        set_id = forecast_sets.pointer(conn)
        assert set_id is not None
        stored = forecast_sets.get(conn, set_id)
    path = whole_set.of_stored(city.settings, stored)
    monkeypatch.setattr(whole_set, "with_quantiles", None)
    assert ask.get("/v1/forecasts", params=QUESTION).content == path.read_bytes()


def test_where_it_cannot_be_kept_it_is_sent_all_the_same(city: City, ask: TestClient) -> None:
    expected = rows(ask.get("/v1/forecasts", params=QUESTION).content)
    for path in file_of(city):
        path.unlink()
    (city.settings.data_dir / "forecasts").rmdir()
    (city.settings.data_dir / "forecasts").write_text("in the way")
    answer = ask.get("/v1/forecasts", params=QUESTION)
    assert "etag" not in answer.headers
    assert rows(answer.content).equals(expected)


def test_a_limited_key_gets_the_nodes_of_its_districts(city: City, ask_as: Callable[..., TestClient]) -> None:
    answer = ask_as("forecasts:read", districts=["110105"]).get("/v1/forecasts", params=QUESTION)
    table = rows(answer.content)
    assert set(table["area"].to_pylist()) == {"110105", "110105A"}
    assert set(table["category"].to_pylist()) == {"ALL", "UTILITY", "HEAT", "WATER", "NOISE"}
    assert not (city.settings.data_dir / "forecasts").exists()


def test_an_earlier_set_is_told_row_by_row(city: City, ask: TestClient) -> None:
    city.publish(YESTERDAY, NOW - timedelta(minutes=1), scale=2.0, mlflow_run_id="beef")
    answer = ask.get("/v1/forecasts", params={**QUESTION, "as_of": (NOW - timedelta(hours=1)).isoformat()})
    assert set(rows(answer.content)["run_id"].to_pylist()) == {"f00d"}
    assert "etag" not in answer.headers


def test_nodes_all_leaves_what_is_named_as_it_is(ask: TestClient) -> None:
    found = ask.get("/v1/forecasts", params={"nodes": "all", "area": "110108"}).json()["items"]
    assert {row["area"] for row in found} == {"110108"}
    assert {row["category"] for row in found} == {"ALL", "UTILITY", "HEAT", "WATER", "NOISE"}
