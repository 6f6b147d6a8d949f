"""The demo's live feed against a real API."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import httpx
import pandas as pd
import pytest
from processes import Bench, free_port

from forecasting import city
from service import secret
from service.cli.feed import Feed
from service.clock import Clock
from service.settings import Settings
from service.store import counts, ingests, keys
from service.store.engine import open_engine, reading, upgrade, writing

ZONE = ZoneInfo("Asia/Shanghai")
HISTORY = date(2025, 11, 8)
SEED, SCALE = 1, 0.05


def at(hour: int, minute: int = 0) -> datetime:
    return datetime(2025, 11, 9, hour, minute, tzinfo=ZONE)


@pytest.fixture
def settings(bench: Bench) -> Settings:
    made = Settings(data_dir=bench.folder / ".weisu", api_port=free_port(), as_of=at(20).isoformat())
    upgrade(made.store_url)
    return made


@pytest.fixture
def http(settings: Settings) -> Iterator[httpx.Client]:
    engine = open_engine(settings.store_url)
    with writing(engine) as conn:
        key = keys.create(conn, "feed", ["tickets:write", "forecasts:read"], None, datetime.now(UTC), secret=secret.of_keys(settings))
    engine.dispose()
    address = f"http://127.0.0.1:{settings.api_port}"
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=30, trust_env=False) as client:
        yield client


def feed(http: httpx.Client, now: datetime, stopped: threading.Event | None = None) -> Feed:
    return Feed(http, Clock(ZONE, now), SEED, SCALE, HISTORY, (stopped or threading.Event()).is_set)


def expected(now: datetime) -> pd.Series:
    """Tickets by day that a hotline has at a moment, of those that the feed tells of."""
    coming = city.deliveries(SEED, SCALE, now.date(), HISTORY)
    known = coming[coming["deliver_at"] < now.replace(tzinfo=None)].drop_duplicates("ticket_id")
    return known["created_at"].dt.date.value_counts()


def stored(settings: Settings) -> pd.Series:
    engine = open_engine(settings.store_url)
    with reading(engine) as conn:
        table = counts.daily(conn)
    engine.dispose()
    return table.groupby(table["date"].dt.date)["count"].sum()


def test_it_delivers_the_day_so_far_survives_a_restart_of_the_api_and_counts_late_and_doubled_tickets_once(
    bench: Bench, settings: Settings, http: httpx.Client
) -> None:
    first = threading.Thread(target=feed(http, at(9)).run)
    first.start()  # nobody listens yet
    time.sleep(0.5)
    api = bench.start("api", **{name: getattr(settings, name) for name in ("api_port", "as_of")})
    first.join(60)
    assert not first.is_alive()
    assert stored(settings).to_dict() == expected(at(9)).to_dict()

    api.kill()
    api.wait()
    second = threading.Thread(target=feed(http, at(18, 30)).run)
    second.start()
    time.sleep(0.5)
    api = bench.start("api", **{name: getattr(settings, name) for name in ("api_port", "as_of")})
    second.join(60)
    assert not second.is_alive()
    assert stored(settings).to_dict() == expected(at(18, 30)).to_dict()
    with httpx.Client(base_url=http.base_url, headers={"Authorization": "Bearer weisu_x"}, trust_env=False) as stranger:
        feed(stranger, at(19)).run()  # what is refused does not stop it
    assert stored(settings).to_dict() == expected(at(18, 30)).to_dict()
    today = http.get("/v1/counts", params={"area": "ALL", "category": "ALL", "from": "2025-11-09", "to": "2025-11-09"}).json()["items"]
    assert [row["count"] for row in today] == [expected(at(18, 30))[date(2025, 11, 9)]]

    engine = open_engine(settings.store_url)
    with reading(engine) as conn:
        told = ingests.list_recent(conn)
    engine.dispose()
    assert all(one.status == ingests.DONE and one.rejected == one.later == 0 for one in told)
    assert sum(one.changed for one in told) > 20
    assert sum(one.unchanged for one in told) > 20
    api.terminate()
    api.wait()


def test_it_ends_when_it_is_told_to_although_nobody_answers(http: httpx.Client) -> None:
    stopped = threading.Event()
    thread = threading.Thread(target=feed(http, at(9), stopped).run)
    thread.start()
    time.sleep(1)
    assert thread.is_alive()
    stopped.set()
    thread.join(5)
    assert not thread.is_alive()
