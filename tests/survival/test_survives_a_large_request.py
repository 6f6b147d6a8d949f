"""The API is killed in the middle of a large request, and the sender sends it again."""

import json
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from processes import Bench, free_port, until
from sqlalchemy import Engine, func, select

from service.intake import ingest, requests
from service.secret import of_keys
from service.settings import Settings
from service.store import areas, counts, keys, waiting_ingests
from service.store.engine import reading, writing
from service.store.schema import count_changes, ingests, staged_tickets, tickets
from service.store.schema import waiting_ingests as waiting

ROWS = 15_000  # two batches to stage
SETTINGS = {"as_of": "2025-11-09T12:00:00+08:00", "intake_rows_at_once": 50_000}
NDJSON = "application/x-ndjson"
BODY = "\n".join(
    json.dumps(
        {"ticket_id": f"{number % (ROWS - 500)}", "created_at": f"2025-11-{1 + number % 8:02}T08:00", "district": f"D{number % 7}", "category": "X"}
    )
    for number in range(ROWS)
).encode()


def one(engine: Engine, query: Any) -> int:
    with reading(engine) as conn:
        return int(conn.execute(query).scalar() or 0)


def staged(engine: Engine) -> int:
    return one(engine, select(func.count()).select_from(staged_tickets))


def under_way(engine: Engine) -> int:
    return one(engine, select(func.count()).select_from(waiting).where(waiting.c.lease_until.is_not(None)))


@pytest.mark.parametrize("moment", [staged, under_way], ids=["while it is staged", "while it is applied"])
def test_nothing_is_lost_and_nothing_counts_twice(engine: Engine, bench: Bench, moment: Callable[[Engine], int]) -> None:
    port = free_port()
    settings = {**SETTINGS, "api_port": port, "database_url": engine.url.render_as_string(hide_password=False)}
    with writing(engine) as conn:
        areas.join(conn, {"D0": "ALL"}, datetime.now(UTC))
        key = keys.create(conn, "sender", ["tickets:write"], None, datetime.now(UTC), secret=of_keys(Settings(data_dir=bench.folder / ".weisu")))
    headers = {"Authorization": f"Bearer {key}", "Content-Type": NDJSON, "Idempotency-Key": "one"}

    def start() -> "subprocess.Popen[bytes]":
        process = bench.start("api", **settings)
        until("the API answers", lambda: answers(port))
        return process

    def send() -> httpx.Response:
        return httpx.post(f"http://127.0.0.1:{port}/v1/tickets", content=BODY, headers=headers, timeout=60, trust_env=False)

    def send_and_lose() -> None:
        with suppress(httpx.TransportError):
            send()

    api = start()
    sender = threading.Thread(target=send_and_lose)
    sender.start()
    until("the request is there", lambda: moment(engine) > 0)
    api.kill()
    api.wait()
    sender.join()

    api = start()
    answer = send()
    assert answer.status_code in (200, 202), answer.text
    if answer.status_code == 202:  # the dead process's lease has to run out first
        with writing(engine) as conn:
            waiting_ingests.renew(conn, answer.json()["id"], datetime.now(UTC) - timedelta(seconds=1))
        clock = Settings(as_of=str(SETTINGS["as_of"])).clock
        assert requests.apply_all_waiting(engine, clock) == 1
    again = send()
    assert (again.status_code, again.json()["status"]) == (200, "done")
    assert (again.json()["added"], again.json()["unchanged"]) == (ROWS - 500, 500)

    assert one(engine, select(func.count()).select_from(tickets)) == ROWS - 500
    assert one(engine, select(func.sum(count_changes.c.delta))) == ROWS - 500
    with reading(engine) as conn:
        assert counts.daily(conn)["count"].sum() == ROWS - 500
    assert one(engine, select(func.count()).select_from(staged_tickets).where(staged_tickets.c.ingest_id == answer.json()["id"])) == 0
    with writing(engine) as conn:  # and so has that of what it read at the time
        conn.execute(ingests.update().where(ingests.c.lease_until.is_not(None)).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
    ingest.recover(engine, Settings(as_of=str(SETTINGS["as_of"])).clock)
    assert (staged(engine), one(engine, select(func.count()).select_from(waiting))) == (0, 0)
    api.terminate()
    api.wait()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", timeout=1, trust_env=False).status_code == 200
    except httpx.TransportError:
        time.sleep(0.05)
        return False
