"""A million tickets in one body: all of them are counted, and the worker that takes them hardly grows."""

import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pandas as pd
import pytest
from processes import Bench, free_port, until
from town import Survived

from service.benchmarks.sending import FORMS, memory
from service.intake import requests
from service.secret import of_keys
from service.settings import Settings
from service.store import counts, keys
from service.store.engine import open_engine, reading, upgrade, writing

ROWS, SMALL, PART = 1_000_000, 60_000, 50_000
GROWTH = 130.0  # MB beyond what the small body has taken: the database fills its cache of 64; held as a whole, the large one would take hundreds
NOW = "2025-11-09T12:00:00+08:00"


def body(form: str, rows: int) -> Iterator[bytes]:
    """A body of so many tickets, made while it is sent."""
    frame = pd.DataFrame({"ticket_id": range(rows), "created_at": "2025-09-09T07:00:00", "district": "D", "category": "C", "note": "x" * 60})
    if form == "Parquet":
        out = io.BytesIO()
        frame.to_parquet(out)
        yield out.getvalue()
        return
    for start in range(0, rows, PART):
        part = frame.iloc[start : start + PART]
        if form == "CSV":
            yield part.to_csv(index=False, header=start == 0).encode()
        else:
            text = part.to_json(orient="records", lines=form == "NDJSON")
            yield text.encode() if form == "NDJSON" else f"{'[' if start == 0 else ','}{text[1:-1]}{']' if start + PART >= rows else ''}".encode()


@pytest.mark.parametrize("form", FORMS)
def test_a_body_of_a_million_tickets_takes_hardly_more_memory_than_a_small_one(tmp_path: Path, bench: Bench, form: str, survived: Survived) -> None:
    url, port = f"sqlite:///{tmp_path / 'w.db'}", free_port()
    upgrade(url)
    engine = open_engine(url)
    with writing(engine) as conn:
        key = keys.create(conn, "sender", ["tickets:write"], None, datetime.now(UTC), secret=of_keys(Settings(data_dir=bench.folder / ".weisu")))
    api = bench.start("api", database_url=url, api_port=port, as_of=NOW)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": FORMS[form]}

    def answers() -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def send(rows: int) -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{port}/v1/tickets", content=body(form, rows), headers=headers, timeout=600, trust_env=False)

    until("the API answers", answers)
    assert send(SMALL).status_code == 202
    requests.apply_all_waiting(engine, Settings(as_of=NOW).clock)
    before, began = memory(api.pid), time.monotonic()
    answer = send(ROWS)
    grown, seconds = memory(api.pid) - before, time.monotonic() - began
    survived(f"{form}: {ROWS / seconds:,.0f} tickets/s taken, {grown:.0f} MB more than after {SMALL:,} tickets")
    assert (answer.status_code, answer.json()["rows"]) == (202, ROWS)
    requests.apply_all_waiting(engine, Settings(as_of=NOW).clock)
    with reading(engine) as conn:
        assert counts.daily(conn)["count"].sum() == ROWS
    assert grown < GROWTH
    api.terminate()
    api.wait()
    engine.dispose()
