"""Files of many blocks: all of them tell of one moment, whatever comes in while they are written."""

import io
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from api_city import NOW, City, daily_cells
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from service.api.counts import count_paths as counts_path
from service.api.counts import ticket_list_paths as tickets_path
from service.api.counts.count_grid import CountGrid
from service.api.intake import driver_paths as drivers_path
from service.store import counts, drivers, ingests, ticket_list
from service.store.engine import writing
from service.store.schema import drivers as drivers_table
from service.store.schema import tickets


def meanwhile(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, change: Callable[[], None]) -> list[int]:
    """Has something change in the store before the second block is read; the numbers of the blocks."""
    read, blocks = getattr(owner, name), []

    def counted(*args: Any, **more: Any) -> Any:
        blocks.append(len(blocks) + 1)
        if len(blocks) == 2:
            change()
        return read(*args, **more)

    monkeypatch.setattr(owner, name, counted)
    return blocks


READ: dict[str, Callable[[io.BytesIO], pd.DataFrame]] = {
    "csv": pd.read_csv,
    "ndjson": lambda file: pd.read_json(file, lines=True),
    "parquet": pd.read_parquet,
}


@pytest.mark.parametrize("form", READ)
def test_counts_of_many_blocks_are_of_one_moment(city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch, form: str) -> None:
    params = {"format": form, "from": "2025-10-20", "to": "2025-11-08", "area": ["110105", "110108"]}

    def read() -> pd.DataFrame:
        return READ[form](io.BytesIO(ask.get("/v1/counts", params=params).content))

    before = read()

    def more() -> None:
        with writing(city.engine) as conn:
            cells = daily_cells()
            ingest = ingests.begin(conn, "counts", "more.csv", NOW)
            counts.set_baseline(conn, ingest, cells.assign(count=cells["count"] + 100), NOW)

    monkeypatch.setattr(counts_path, "MOST_ROWS", 10)
    blocks = meanwhile(monkeypatch, CountGrid, "rows", more)
    pd.testing.assert_frame_equal(read(), before)
    assert len(blocks) > 2
    assert (read()["count"] > before["count"]).any()


def test_tickets_of_many_blocks_come_once_each_though_one_moves_behind_them(city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [{"ticket_id": f"{n:02}", "created_at": f"2025-09-08T10:{n:02}", "category": "HEAT", "district": "110108"} for n in range(25)]
    assert ask.post("/v1/tickets", json=sent).status_code == 200

    def move() -> None:
        t = tickets.c
        with writing(city.engine) as conn:
            last = conn.execute(select(func.max(t.created_at))).scalar_one()
            conn.execute(update(tickets).where(t.ticket_id == "00").values(created_at=last))

    monkeypatch.setattr(tickets_path, "MOST_ROWS", 10)
    blocks = meanwhile(monkeypatch, ticket_list, "rows", move)
    rows = ask.get("/v1/tickets", params={"format": "csv", "from": "2025-09-08", "to": "2025-09-08"}).text.splitlines()[1:]
    assert len(blocks) == 3
    assert [row.split(",")[1] for row in rows] == [one["ticket_id"] for one in sent]


def test_drivers_of_many_blocks_are_of_one_moment(city: City, ask: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = [{"date": f"2025-10-{day:02}", "name": "rain", "value": 1.5} for day in range(1, 26)]
    assert ask.post("/v1/drivers", json=sent).status_code == 200

    def change() -> None:
        with writing(city.engine) as conn:
            conn.execute(update(drivers_table).values(value=99.0))

    monkeypatch.setattr(drivers_path, "MOST_ROWS", 10)
    blocks = meanwhile(monkeypatch, drivers, "known", change)
    text = ask.get("/v1/drivers", params={"format": "csv"}).text
    assert len(blocks) == 3
    assert (len(text.splitlines()), "99" in text) == (26, False)
