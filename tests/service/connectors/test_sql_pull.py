"""Tickets from a query in somebody else's PostgreSQL, or any database: each once, late ones too, and nothing is written there."""

import signal
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from processes import Bench, until
from sqlalchemy import Engine, func, select

from forecasting.errors import InputError
from service.benchmarks.server import OWNER, PASSWORD, Server
from service.connectors import pull, sql
from service.intake import requests
from service.settings import Settings
from service.store import counts, ingests, jobs, pulls, upstream, waiting_ingests
from service.store.engine import reading, writing
from service.store.schema import tickets

Pulling = Callable[..., Settings]
_NUMBERS = count(1)
QUERY = "select id::text as ticket_id, created as created_at, zone as district, topic as category, changed, '9:30 %' as note from orders; -- all"


class Upstream:
    """A hotline's own database.

    Attributes:
        url: its address, with a password in it.
    """

    def __init__(self, server: Server) -> None:
        name = f"hotline_{next(_NUMBERS)}"
        server.run(f"create database {name}")
        self.url = f"postgresql://{OWNER}:{PASSWORD}@127.0.0.1:{server.port}/{name}"
        self._conn = psycopg.connect(self.url, autocommit=True)
        self.run("create table orders (id bigint, created timestamptz, changed timestamptz, zone text, topic text)")

    def run(self, statement: str, *values: Any) -> None:
        self._conn.execute(statement.encode(), values or None)

    def add(self, first: int, last: int, changed: str, topic: str = "HEAT") -> None:
        """Orders of these numbers, created in the night and changed at a moment."""
        self.run(
            "insert into orders select n, '2025-11-09 01:00+08', %s::timestamptz, '110105', %s from generate_series(%s::int, %s::int) n",
            changed,
            topic,
            first,
            last,
        )

    def close(self) -> None:
        self._conn.close()


@pytest.fixture
def hotline(postgresql: Server) -> Iterator[Upstream]:
    made = Upstream(postgresql)
    yield made
    made.close()


def what(hotline: Upstream, **changes: Any) -> dict[str, Any]:
    return {"name": "hotline", "url": hotline.url, "query": QUERY, "watermark": "changed"} | changes


def counted(engine: Engine, category: str = "HEAT") -> int:
    with reading(engine) as conn:
        return int(counts.daily(conn, ["110105"], [category], date(2025, 11, 9), date(2025, 11, 9))["count"].sum())


def stored(engine: Engine) -> int:
    with reading(engine) as conn:
        return int(conn.execute(select(func.count()).select_from(tickets)).scalar_one())


def numbers(done: pull.Pulled) -> tuple[int, int, int, int]:
    return done.rows, done.added, done.changed, done.unchanged


def test_each_order_counts_once_however_often_it_is_pulled(engine: Engine, hotline: Upstream, pulling: Pulling) -> None:
    settings = pulling(sql=[what(hotline)])
    hotline.add(1, 5, "2025-11-09 06:00+08")
    assert numbers(pull.run(engine, settings, "hotline")) == (5, 5, 0, 0)
    assert numbers(pull.run(engine, settings, "hotline")) == (5, 0, 0, 5)  # all lie in the overlap
    hotline.add(6, 7, "2025-11-09 07:10+08")
    assert numbers(pull.run(engine, settings, "hotline")) == (7, 2, 0, 5)
    assert numbers(pull.run(engine, settings, "hotline")) == (2, 0, 0, 2)  # what is older than the overlap is not read again
    assert (stored(engine), counted(engine)) == (7, 7)


def test_late_rows_come_with_the_overlap_and_corrections_move_their_count(engine: Engine, hotline: Upstream, pulling: Pulling) -> None:
    settings = pulling(sql=[what(hotline, overlap=30)])
    hotline.add(1, 2, "2025-11-09 07:00+08")
    pull.run(engine, settings, "hotline")
    hotline.add(3, 3, "2025-11-09 06:45+08")  # was committed late
    hotline.add(4, 4, "2025-11-09 06:15+08")  # later than the overlap allows
    hotline.run("update orders set topic = 'WATER', changed = '2025-11-09 07:20+08' where id = 1")
    assert numbers(pull.run(engine, settings, "hotline")) == (3, 1, 1, 1)
    assert (counted(engine), counted(engine, "WATER")) == (2, 1)


def test_one_row_of_a_far_year_does_not_hide_those_that_are_to_come(engine: Engine, hotline: Upstream, pulling: Pulling) -> None:
    settings = pulling(sql=[what(hotline)])
    hotline.add(1, 1, "2099-01-01")
    pull.run(engine, settings, "hotline")
    hotline.add(2, 2, "2025-11-09 07:25+08")
    assert pull.run(engine, settings, "hotline").added == 1


def test_a_long_history_comes_in_parts_and_a_failure_keeps_those_before_it(
    engine: Engine, hotline: Upstream, pulling: Pulling, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "BATCHES", 1)
    monkeypatch.setattr("service.intake.bodies.ROWS", 10)
    settings = pulling(sql=[what(hotline, overlap=0)])
    hotline.add(1, 25, "2025-11-09 05:00+08")
    hotline.add(26, 26, "2025-11-09 06:00+08", topic="")
    hotline.run("alter table orders alter column zone type text using case when id = 26 then repeat('x', 300) else zone end")
    done = pull.run(engine, settings, "hotline")
    assert (done.rows, done.added, done.rejected) == (26, 25, 1)
    with reading(engine) as conn:
        assert [one.rows for one in ingests.list_recent(conn)] == [6, 10, 10]


def test_nothing_is_written_there(engine: Engine, hotline: Upstream, pulling: Pulling) -> None:
    hotline.add(1, 1, "2025-11-09 06:00+08")
    hotline.run("create function burn() returns text language sql as $$ delete from orders returning 'x' $$")
    query = "select id::text as ticket_id, created as created_at, burn() as district, topic as category, changed from orders"
    with pytest.raises(InputError, match=r"cannot be read \(ReadOnlySqlTransaction|read-only"):
        pull.run(engine, pulling(sql=[what(hotline, query=query)]), "hotline")
    assert stored(engine) == 0


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"query": "select 1 as ticket_id"}, "no column|does not exist"),
        ({"query": QUERY.replace("orders", "nowhere")}, "nowhere"),
        ({"query": "select changed, id as ticket_id from orders"}, "no column 'created_at'"),
        ({"query": "select changed, 'a' as name, changed as date, 1 as value from orders"}, "gives drivers, not tickets"),
        ({"query": QUERY.replace("changed,", "null::timestamptz as changed,")}, "coalesce"),
        ({"query": QUERY.replace("changed,", "array[1] as changed,")}, "neither a moment"),
        ({"query": QUERY.replace("zone as", "(zone || topic)::int::text as")}, r"cannot be read \(InvalidTextRepresentation\)"),
        ({"url": "postgresql://weisu:s3cret@127.0.0.1:{port}/x"}, "cannot be read"),
        ({"url": "postgresql://weisu:s3cret@127.0.0.1:9/x"}, "cannot be read"),
        ({"url": "oracle+nothing://weisu:s3cret@host/x"}, "driver"),
        ({"url": "s3cret"}, "no address"),
    ],
)
def test_what_cannot_be_read_is_named_without_passwords_and_contents(
    engine: Engine, hotline: Upstream, postgresql: Server, pulling: Pulling, changes: dict[str, str], told: str
) -> None:
    hotline.add(1, 1, "2025-11-09 06:00+08", topic="王小明")
    changes = {name: value.replace("{port}", str(postgresql.port)) for name, value in changes.items()}
    with pytest.raises(InputError, match=told) as caught:
        pull.run(engine, pulling(sql=[what(hotline, **changes)]), "hotline")
    with reading(engine) as conn:
        job = jobs.get(conn, "pull:hotline")
    assert job is not None
    for text in (str(caught.value), job.error or ""):
        assert text
        assert not any(secret in text for secret in ("s3cret", PASSWORD, "王小明"))
    assert stored(engine) == 0


def test_a_row_that_is_wrong_is_rejected_and_the_others_are_taken(engine: Engine, hotline: Upstream, pulling: Pulling) -> None:
    hotline.add(1, 2, "2025-11-09 06:00+08")
    hotline.add(3, 3, "2025-11-09 06:30+08", topic="")
    done = pull.run(engine, pulling(sql=[what(hotline, source="12345")]), "hotline")
    assert (done.added, done.rejected) == (2, 1)
    with reading(engine) as conn:
        assert set(conn.scalars(select(tickets.c.source))) == {"12345"}


def test_any_other_database_will_do(engine: Engine, pulling: Pulling, folder: Path) -> None:
    path = folder / "hotline.db"
    with sqlite3.connect(path) as conn:
        conn.execute("create table orders (id integer primary key, created text, zone text, topic text)")
        conn.executemany("insert into orders values (?, '2025-11-09 01:00:00', '110105', 'HEAT')", [(number,) for number in range(1, 6)])
    conn.close()
    query = "select id as ticket_id, created as created_at, zone as district, topic as category, id from orders"
    settings = pulling(sql=[{"name": "old", "url": f"sqlite:///{path}", "query": query, "watermark": "id", "overlap": 2}])
    assert numbers(pull.run(engine, settings, "old")) == (5, 5, 0, 0)
    assert numbers(pull.run(engine, settings, "old")) == (3, 0, 0, 3)
    by_text = {"name": "text", "url": f"sqlite:///{path}", "query": query.replace(", id from", ", created from"), "watermark": "created"}
    assert numbers(pull.run(engine, pulling(sql=[by_text]), "text")) == (5, 0, 0, 5)
    with pytest.raises(InputError, match="unable to open"):
        pull.run(engine, pulling(sql=[by_text | {"url": f"sqlite:///{folder}/none.db"}]), "text")
    assert not (folder / "none.db").exists()


ZONE = ZoneInfo("Asia/Shanghai")
NOON = datetime(2025, 11, 9, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("mark", "before"),
    [
        (NOON, NOON - timedelta(hours=1)),
        (datetime(2025, 11, 9, 12), datetime(2025, 11, 9, 11)),  # noqa: DTZ001
        (date(2025, 11, 9), date(2025, 11, 8)),
        (1000, 940),
        (Decimal("1000.5"), Decimal("940.5")),
        ("2025-11-09 12:00:00", "2025-11-09 11:00:00"),
        ("2025-11-09T12:00", "2025-11-09T11:00"),
        ("A-17", "A-17"),
    ],
)
def test_a_watermark_is_kept_as_it_is_and_an_hour_before_it_is_of_its_kind(mark: upstream.Mark, before: upstream.Mark) -> None:
    assert upstream.read_mark(upstream.written(mark)) == mark
    assert type(upstream.read_mark(upstream.written(mark))) is type(mark)
    assert upstream.earlier(mark, 60) == before
    assert upstream.not_after(mark, NOON + timedelta(days=1), ZONE) == mark


def test_a_killed_pull_loses_nothing_and_doubles_nothing(engine: Engine, hotline: Upstream, bench: Bench) -> None:
    rows = 45_000  # are applied in three transactions
    hotline.add(1, rows, "2025-11-09 05:00+08")
    url = engine.url.render_as_string(hide_password=False)
    (bench.folder / "weisu.toml").write_text(
        f'as_of = "2025-11-09T07:30:00+08:00"\n[[pull.sql]]\nname = "hotline"\nurl = "{hotline.url}"\nwatermark = "changed"\nquery = """{QUERY}"""\n'
    )
    process = bench.start("pull", "hotline", database_url=url)
    until("some of it is counted", lambda: stored(engine) > 0)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert stored(engine) < rows
    done = bench.run("pull", "hotline", database_url=url)
    assert done.returncode == 0, done.stderr
    with writing(engine) as conn:  # the dead process's lease has to run out first
        waiting_ingests.renew(conn, 1, datetime.now(UTC) - timedelta(seconds=1))
    requests.apply_all_waiting(engine, Settings(as_of="2025-11-09T07:30:00+08:00").clock)
    assert (stored(engine), counted(engine)) == (rows, rows)
    with reading(engine) as conn:
        assert pulls.get(conn, "hotline").watermark is not None
