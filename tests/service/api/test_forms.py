"""The same table in every form, asked for by name or by `Accept`."""

import io
import json
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from api_city import NOW, City
from fastapi.testclient import TestClient

from service.api.counts import count_paths as counts_router
from service.store import categories
from service.store.engine import writing

QUESTIONS = {
    "/v1/forecasts": {"area": "ALL,110108", "category": "ALL,HEAT"},
    "/v1/counts": {"area": "110105", "category": "HEAT"},
    "/v1/counts/compare": {"area": "110105", "category": "HEAT"},
    "/v1/accuracy": {},
    "/v1/tickets": {"from": "2025-09-09", "to": "2025-09-09"},
}
TYPES = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "ndjson": "application/x-ndjson",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


def table_of(form: str, content: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(content)) if form == "parquet" else pa.ipc.open_stream(content).read_all()


def plain(value: Any) -> Any:
    """A value as JSON shows it."""
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("path", QUESTIONS)
def test_every_form_has_the_rows_of_the_json(ask: TestClient, path: str) -> None:
    if path == "/v1/tickets":
        sent = [{"ticket_id": f"={n}", "created_at": "2025-09-09T07:00", "district": "UNKNOWN", "category": "WATER"} for n in range(3)]
        assert ask.post("/v1/tickets", json=sent).status_code == 200
    items = ask.get(path, params=QUESTIONS[path]).json()["items"]
    assert items or path == "/v1/accuracy"
    for form in ("ndjson", "parquet", "arrow", "csv"):
        answer = ask.get(path, params={**QUESTIONS[path], "format": form})
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == TYPES[form]
        ending = "arrows" if form == "arrow" else form
        assert answer.headers["content-disposition"].startswith(f'attachment; filename="{path.split("/")[2]}')
        assert answer.headers["content-disposition"].endswith(f'.{ending}"')
        if form == "ndjson":
            assert [json.loads(line) for line in answer.text.splitlines()] == items
        elif form == "csv":
            assert len(answer.text.splitlines()) == 1 + len(items)
        else:
            rows = [{name: plain(value) for name, value in row.items()} for row in table_of(form, answer.content).to_pylist()]
            assert rows == [{name: row[name] for name in rows[0]} for row in items] if items else rows == []


def test_columns_have_their_types(ask: TestClient) -> None:
    schema = table_of("parquet", ask.get("/v1/forecasts", params={"format": "parquet"}).content).schema
    kinds = {name: str(schema.field(name).type) for name in ("area", "date", "horizon", "mean", "q05", "issued_at")}
    assert kinds == {
        "area": "string",
        "date": "date32[day]",
        "horizon": "int64",
        "mean": "double",
        "q05": "double",
        "issued_at": "timestamp[us, tz=Asia/Shanghai]",
    }


@pytest.mark.parametrize("form", ["parquet", "arrow", "csv", "ndjson"])
def test_a_table_without_rows_still_has_its_columns(ask: TestClient, form: str) -> None:
    answer = ask.get("/v1/forecasts", params={"area": "110105B", "format": form})
    assert answer.status_code == 200
    if form in ("parquet", "arrow"):
        table = table_of(form, answer.content)
        assert (table.num_rows, table.column_names[:2]) == (0, ["area", "category"])
    elif form == "csv":
        assert answer.text.startswith("area,category,")
    else:
        assert answer.text == ""


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("*/*", "json"),
        ("", "json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "json"),  # a browser
        ("text/csv", "csv"),
        ("text/*", "csv"),
        ("TEXT/CSV ; Q=0.7", "csv"),
        ("application/x-ndjson", "ndjson"),
        ("application/vnd.apache.parquet", "parquet"),
        ("application/vnd.apache.arrow.stream, application/json;q=0.5", "arrow"),
        ("application/json;q=0.1, text/csv;q=0.9", "csv"),
        ("application/json;q=0, */*", "csv"),
        ("application/*;q=0.2, text/csv;q=0.3, application/json;q=0.1", "csv"),
        ("image/png, application/json;q=0.001", "json"),
    ],
)
def test_accept_chooses_the_form(ask: TestClient, accept: str, form: str) -> None:
    answer = ask.get("/v1/counts", params={"area": "ALL"}, headers={"Accept": accept})
    assert answer.headers["content-type"] == TYPES[form]
    assert answer.headers["vary"] == "Accept"


def test_a_named_form_comes_before_accept(ask: TestClient) -> None:
    answer = ask.get("/v1/counts", params={"area": "ALL", "format": "ndjson"}, headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == TYPES["ndjson"]


@pytest.mark.parametrize("accept", ["image/png", "application/json;q=0", "text/csv;q=much", "application/xml, text/html;q=0.9"])
def test_what_cannot_be_given_is_refused_with_a_list_of_what_can(ask: TestClient, accept: str) -> None:
    answer = ask.get("/v1/forecasts", headers={"Accept": accept})
    assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")
    document = answer.json()
    assert (document["type"], document["where"]) == ("urn:weisu:problem:not-acceptable", "Accept")
    assert document["available"] == [one.partition(";")[0] for one in TYPES.values()]
    assert "format=" in document["mend"]


def test_a_file_of_a_page_names_the_next_one(ask: TestClient) -> None:
    first = ask.get("/v1/forecasts", params={"format": "parquet", "limit": 20})
    second = ask.get(first.links["next"]["url"])
    rows = [row for answer in (first, second) for row in table_of("parquet", answer.content).to_pylist()]
    assert rows == table_of("parquet", ask.get("/v1/forecasts", params={"format": "parquet"}).content).to_pylist()
    assert "next" not in second.links


def test_cells_that_a_spreadsheet_would_run_are_made_harmless_and_numbers_stay_numbers(city: City, ask: TestClient) -> None:
    codes = ["=1+1", "+1", "-1", "@a", "\ta", "\ra", "＝1+1", "＋1", "－1", "＠a"]
    with writing(city.engine) as conn:
        categories.join(conn, dict.fromkeys(codes, "ALL"), NOW)
    text = ask.get("/v1/counts", params={"area": "ALL", "format": "csv", "to": "2025-11-08", "from": "2025-11-08"}).text
    table = pd.read_csv(io.StringIO(text, newline=""), lineterminator="\n", skipinitialspace=False)
    assert {f"'{code.strip()}" for code in codes} <= {code.replace("\t", "").replace("\r", "") for code in table["category"]}
    assert not any(str(code).startswith(("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")) for code in table["category"])
    assert pd.api.types.is_integer_dtype(table["count"])


def test_a_large_table_is_written_part_by_part(ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = table_of("parquet", ask.get("/v1/counts", params={"format": "parquet"}).content)
    monkeypatch.setattr(counts_router, "MOST_ROWS", 50)
    answer = ask.get("/v1/counts", params={"format": "parquet"})
    file = pq.ParquetFile(io.BytesIO(answer.content))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [50, 50, 50, 50, 50, 2]
    assert file.read().equals(whole)


@pytest.mark.parametrize("path", ["alerts", "drivers", "forecasts/heatmap"])
def test_lists_and_maps_with_a_csv_twin_give_it_by_accept_and_by_format(city: City, ask: TestClient, path: str) -> None:
    city.alert("a")
    asked = ask.get(f"/v1/{path}", headers={"Accept": "text/csv;q=0.9, application/json;q=0.5"})
    named = ask.get(f"/v1/{path}", params={"format": "csv"})
    for answer in (asked, named):
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        assert "Accept" in answer.headers["Vary"]
    assert asked.text == named.text
    assert ask.get(f"/v1/{path}", params={"format": "csv", "bom": "true"}).content.startswith(b"\xef\xbb\xbf")
    assert ask.get(f"/v1/{path}", headers={"Accept": "text/html, */*;q=0.8"}).headers["content-type"] == "application/json"
    refused = ask.get(f"/v1/{path}", headers={"Accept": "application/vnd.apache.parquet"})
    assert (refused.status_code, refused.json()["available"]) == (406, ["application/json", "text/csv"])
    assert ask.get(f"/v1/{path}", params={"format": "parquet"}).status_code == 422


def test_the_map_as_csv_has_the_cells_of_the_map(ask: TestClient) -> None:
    cells = ask.get("/v1/forecasts/heatmap").json()["items"]
    rows = pd.read_csv(io.StringIO(ask.get("/v1/forecasts/heatmap", params={"format": "csv"}).text))
    assert list(rows.columns) == list(cells[0])
    assert rows[["area", "category", "expected"]].to_dict("records") == [{k: cell[k] for k in ("area", "category", "expected")} for cell in cells]


def test_the_forms_of_the_alerts_have_tags_of_their_own(city: City, ask: TestClient) -> None:
    city.alert("a")
    tags = {form: ask.get("/v1/alerts", headers={"Accept": form}).headers["ETag"] for form in ("application/json", "text/csv")}
    assert len({*tags.values()}) == 2
    for form, tag in tags.items():
        assert ask.get("/v1/alerts", headers={"Accept": form, "If-None-Match": tag}).status_code == 304
