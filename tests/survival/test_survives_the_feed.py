"""A client written from the OpenAPI document alone follows alerts through two deaths of the API, and is told of every change once."""

import subprocess
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from api_city import NOW, YESTERDAY, an_alert
from processes import Bench, free_port, until
from sqlalchemy import Engine, select

from service.secret import of_keys
from service.settings import Settings
from service.store import alerts, forecast_sets, keys, runs
from service.store.engine import reading, writing
from service.store.schema import alert_events

ALERTS = 40
KILLS = 2


class Client:
    """Follows `list_alert_changes` of an API: it knows the OpenAPI document, an address and a key, and nothing else."""

    def __init__(self, address: str, key: str, document: dict[str, Any]) -> None:
        self.url, self.headers = "", {"Authorization": f"Bearer {key}"}
        for path, item in document["paths"].items():
            if item.get("get", {}).get("operationId") == "list_alert_changes":
                self.url = address + path
        self.told: list[tuple[int, str, str]] = []
        self.place: int | None = None
        self.stopped, self.failures = threading.Event(), 0

    def follow(self) -> None:
        while not self.stopped.is_set():
            params = {"wait": 25} | ({} if self.place is None else {"after": self.place})
            try:
                answer = httpx.get(self.url, params=params, headers=self.headers, timeout=40, trust_env=False)
                if answer.status_code >= 500:
                    raise httpx.TransportError("not now")
            except httpx.TransportError:
                self.failures += 1
                time.sleep(0.1)
                continue
            answer.raise_for_status()
            page = answer.json()
            self.told += [(change["seq"], change["alert"]["alert_id"], change["action"]) for change in page["items"]]
            self.place = page["next"]


def test_no_change_is_lost_and_none_is_told_twice_when_the_api_is_killed(engine: Engine, bench: Bench) -> None:
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with writing(engine) as conn:
        run = runs.start(conn, YESTERDAY, "test", NOW, timedelta(hours=1))
        forecast_sets.publish(conn, run_id=run, mlflow_run_id=None, cutoff=YESTERDAY, horizon=1, issued_at=NOW, rows=0, blob=b"")
        key = keys.create(conn, "centre", ["alerts:write"], None, datetime.now(UTC), secret=of_keys(Settings(data_dir=bench.folder / ".weisu")))

    def start() -> "subprocess.Popen[bytes]":
        process = bench.start("api", api_port=port, database_url=engine.url.render_as_string(hide_password=False))
        until("the API answers", lambda: answers(address))
        return process

    api = start()
    client = Client(address, key, httpx.get(f"{address}/openapi.json", trust_env=False).json())
    following = threading.Thread(target=client.follow, daemon=True)
    following.start()
    until("the client knows where the feed stands", lambda: client.place is not None)

    def change() -> None:
        """The watch raises alerts in the database; the centre acknowledges them over HTTP and tries again until it is told that it did."""
        for k in range(ALERTS):
            with writing(engine) as conn:
                alerts.insert(conn, an_alert(f"a{k}"), "watch", NOW)
            until("it is acknowledged", lambda k=k: acknowledged(address, key, f"a{k}"), 60)

    changing = threading.Thread(target=change, daemon=True)
    changing.start()
    for k in range(1, KILLS + 1):
        until("some changes are told", lambda k=k: len(client.told) >= k * ALERTS // 2)
        api.kill()
        api.wait()
        api = start()
    changing.join(120)
    assert not changing.is_alive()
    until("all is told", lambda: len(client.told) >= 2 * ALERTS, 20)
    client.stopped.set()
    api.terminate()  # lets go of who waits
    api.wait(15)
    following.join(15)

    with reading(engine) as conn:
        e = alert_events.c
        happened = [tuple(row) for row in conn.execute(select(e.seq, e.alert_id, e.action).order_by(e.seq))]
        assert {alert.status for alert in alerts.list_alerts(conn)} == {"acknowledged"}
    assert client.told == happened
    assert len(happened) == 2 * ALERTS
    assert client.failures > 0  # it saw the API dead


def acknowledged(address: str, key: str, alert_id: str) -> bool:
    try:
        answer = httpx.post(f"{address}/v1/alerts/{alert_id}/ack", headers={"Authorization": f"Bearer {key}"}, timeout=10, trust_env=False)
        return answer.status_code == 200
    except httpx.TransportError:
        return False


def answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/livez", timeout=1, trust_env=False).status_code == 200
    except httpx.TransportError:
        time.sleep(0.05)
        return False
