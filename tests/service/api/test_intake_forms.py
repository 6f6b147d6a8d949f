"""Tickets as CSV and Parquet, and what would become of them; the same as of a file, and in little memory."""

import io
import json
from typing import Any

import httpx
import pandas as pd
import pytest
from api_city import Ask, City
from fastapi.testclient import TestClient
from processes import Bench, free_port, until
from sqlalchemy import func, select

from service.intake import bodies
from service.intake.ingest import ingest
from service.settings import Settings
from service.store.engine import open_engine, reading, upgrade
from service.store.schema import metadata, tickets

CSV, PARQUET, NDJSON = "text/csv", "application/vnd.apache.parquet", "application/x-ndjson"
HEADER = "工单编号,来电时间,被反映区,问题分类,来电人电话,主要内容"
ROWS = [
    ("a", "2025-09-09 07:00:00", "海淀区", "HEAT", "13912345678", "停暖"),
    ("b", "2025/9/9 8:05", "110105", "WATER", "13912345678", "停水"),
    ("c", "soon", "110105", "WATER", "", ""),
    ("d", "2025-11-10", "110105", "WATER", "", ""),
]


def table(encoding: str = "utf-8") -> bytes:
    return "\n".join([HEADER, *(",".join(row) for row in ROWS)]).encode(encoding)


def parquet(rows: list[tuple[str, ...]] = ROWS, names: list[str] | None = None) -> bytes:
    out = io.BytesIO()
    pd.DataFrame(rows, columns=names or HEADER.split(",")).to_parquet(out)
    return out.getvalue()


def send(client: TestClient, body: bytes, form: str, **params: Any) -> Any:
    return client.post("/v1/tickets", content=body, headers={"Content-Type": form}, params=params)


def stored(city: City) -> list[tuple[Any, ...]]:
    c = tickets.c
    with reading(city.engine) as conn:
        return [tuple(row) for row in conn.execute(select(c.ticket_id, c.area, c.category, c.created_at, c.caller, c.text).order_by(c.ticket_id))]


@pytest.mark.parametrize(
    ("body", "form"),
    [
        (table(), CSV),
        (table("utf-8-sig"), f"{CSV}; charset=UTF-8; header=present"),
        (table("gb18030"), f"{CSV}; charset=GBK"),
        (table("gb18030"), CSV),
        (table().replace(b",", b";"), CSV),
        (parquet(), PARQUET),
        (parquet(), "application/x-parquet"),
    ],
)
def test_a_table_in_a_body_is_read_as_the_same_file_is(city: City, ask: TestClient, body: bytes, form: str) -> None:
    answer = send(ask, body, form)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert {name: told[name] for name in ("rows", "added", "rejected", "later")} == {"rows": 4, "added": 2, "rejected": 1, "later": 1}
    line = 3 if "parquet" in form else 4
    assert told["rejects"] == [{"index": None, "line": line, "ticket_id": "c", "field": "created_at", "reason": "created_at is no moment"}]
    rows = stored(city)
    assert [row[:3] for row in rows] == [("a", "110108", "HEAT"), ("b", "110105", "WATER")]
    assert rows[0][4] == rows[1][4] not in (None, "13912345678")
    assert {row[5] for row in rows} == {None}
    path = city.settings.data_dir / ("t.parquet" if "parquet" in form else "t.csv")
    path.write_bytes(body)
    report = ingest(city.engine, path, city.settings.clock)
    assert (report.rows, report.unchanged, report.rejected, report.later) == (4, 2, 1, 1)


@pytest.mark.parametrize(
    ("body", "form", "told"),
    [
        (b"", CSV, "is empty"),
        (b"district,category,date,count\nA,B,2025-01-01,5\n", CSV, "is a table of counts, not of tickets"),
        (b"ticket_id,created_at\n1,2025-01-01\n", CSV, "no column 'district'"),
        (b'ticket_id,created_at,district,category\n1,"2025-01-01,A,B\n', CSV, "quotation mark"),
        (b"\xff\xfe\x00\x01" * 50, CSV, "UTF-16"),
        (parquet(), CSV, "is|holds|no column"),
        (table(), PARQUET, "cannot be read as Parquet"),
        (parquet()[:-20], PARQUET, "cannot be read"),
        (parquet([("1", "2025-01-01", "A")], ["ticket_id", "created_at", "district"]), PARQUET, "no column 'category'"),
        (json.dumps({"ticket_id": "a"}).encode(), CSV, "no column|column"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_as_a_whole(city: City, ask: TestClient, body: bytes, form: str, told: str) -> None:
    answer = send(ask, body, form)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    document = answer.json()
    assert document["where"] == "body"
    assert any(one in document["detail"] for one in told.split("|")), document
    assert stored(city) == []


@pytest.mark.parametrize("form", ["text/plain", "application/vnd.ms-excel", "multipart/form-data; boundary=x", f"{CSV}; charset=utf-16"])
def test_an_unknown_form_is_a_415_that_names_the_known_ones(ask: TestClient, form: str) -> None:
    answer = send(ask, table(), form)
    assert (answer.status_code, answer.headers["content-type"]) == (415, "application/problem+json")
    assert answer.json()["mend"]


def test_a_parquet_of_very_many_rows_in_few_bytes_is_refused(ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "MOST_ROWS", 3)
    assert "more than 3 rows" in send(ask, parquet(), PARQUET).json()["detail"]


def sizes(city: City) -> dict[str, int]:
    with reading(city.engine) as conn:
        return {one.name: conn.execute(select(func.count()).select_from(one)).scalar_one() for one in metadata.sorted_tables}


LINES = "\n".join(json.dumps(dict(zip(HEADER.split(","), row, strict=True))) for row in ROWS).encode()
ARRAY = b"[" + LINES.replace(b"\n", b",") + b"]"


@pytest.mark.parametrize(("body", "form"), [(LINES, NDJSON), (ARRAY, "application/json"), (table(), CSV), (parquet(), PARQUET)])
def test_a_dry_run_says_what_a_request_would_bring_and_stores_nothing(city: City, ask: TestClient, body: bytes, form: str) -> None:
    before = sizes(city)
    told = send(ask, body, form, dry_run=True).json()
    assert sizes(city) == before
    assert (told["dry_run"], told["kind"], told["rows"], told["taken"], told["rejected"], told["later"]) == (True, "tickets", 4, 2, 1, 1)
    assert (told["first_day"], told["last_day"], told["new_areas"]) == ("2025-09-09", "2025-09-09", [])
    done = send(ask, body, form).json()
    assert told["rejects"] == done["rejects"]
    assert told["taken"] == done["added"]


def test_a_dry_run_tells_new_codes_and_foreign_tickets_as_the_request_itself(city: City, ask_as: Ask) -> None:
    row = {"created_at": "2025-09-09T07:00:00", "district": "110108", "category": "HEAT"}
    ask_as("tickets:write").post("/v1/tickets", json=row | {"ticket_id": "theirs"})
    client = ask_as("tickets:write", districts=["110105"])
    body = [row | {"ticket_id": name, "district": "110105", "category": "NOISE->new"} for name in ("theirs", "own")] + [row | {"ticket_id": "x"}]
    tried = client.post("/v1/tickets", json=body, params={"dry_run": True}).json()
    done = client.post("/v1/tickets", json=body).json()
    assert (tried["taken"], tried["rejected"]) == (done["added"], done["rejected"]) == (1, 2)
    assert sorted(tried["rejects"], key=lambda one: one["index"]) == sorted(done["rejects"], key=lambda one: one["index"])
    assert tried["new_categories"] == done["new_categories"] == ["NOISE->new"]


def test_a_dry_run_of_nothing_right_is_the_same_error(city: City, ask: TestClient) -> None:
    answers = [ask.post("/v1/tickets", json=[{"ticket_id": "a"}], params=params) for params in ({"dry_run": True}, {})]
    assert [one.status_code for one in answers] == [422, 422]
    told = [{name: value for name, value in one.json().items() if name != "request_id"} for one in answers]
    assert told[0] == told[1]


def test_under_one_key_tickets_and_drivers_are_different_bodies(ask: TestClient) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    assert ask.post("/v1/tickets", content=ARRAY, headers=headers).status_code == 200
    answer = ask.post("/v1/drivers", content=ARRAY, headers=headers)
    assert (answer.status_code, answer.json()["where"]) == (422, "Idempotency-Key")


def memory(pid: int) -> float:
    """The most memory that a process ever had, in MB."""
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


GROWTH = 40.0  # MB between a body of 60,000 tickets, which fills every buffer, and one of 240,000; held as a whole that would take hundreds


@pytest.mark.parametrize("form", [NDJSON, CSV])
def test_a_large_body_takes_hardly_more_memory_than_a_small_one(tmp_path: Any, bench: Bench, form: str) -> None:
    url, port = f"sqlite:///{tmp_path / 'w.db'}", free_port()
    upgrade(url)
    engine = open_engine(url)
    api = bench.start("api", database_url=url, api_port=port)
    key = City(Settings(data_dir=bench.folder / ".weisu"), engine).key()

    def post(rows: int, **params: Any) -> int:
        frame = pd.DataFrame({"ticket_id": [f"{n:020}" for n in range(rows)], "created_at": "2025-09-09T07:00:00", "district": "D", "category": "C"})
        frame["note"] = "x" * 100
        body = frame.to_csv(index=False) if form == CSV else frame.to_json(orient="records", lines=True)
        headers = {"Authorization": f"Bearer {key}", "Content-Type": form}
        answer = httpx.post(
            f"http://127.0.0.1:{port}/v1/tickets", content=body.encode(), headers=headers, params=params, timeout=120, trust_env=False
        )
        assert answer.status_code in (200, 202), answer.text
        return int(answer.json()["rows"])

    def ready() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    until("the API answers", ready)
    post(60_000, dry_run=True)
    before = memory(api.pid)
    assert post(240_000, dry_run=True) == 240_000
    assert memory(api.pid) - before < GROWTH
    api.terminate()
    api.wait()
    engine.dispose()
