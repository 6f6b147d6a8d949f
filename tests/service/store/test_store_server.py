"""What goes wrong on the way to a database, and what is said of it."""

import socket
import time
from datetime import UTC, datetime

import pandas as pd
import pytest
from databases import Databases, PostgresqlDatabases, standby
from sqlalchemy import Connection, Engine, column, inspect, make_url, select, table, text
from sqlalchemy.exc import DBAPIError, IntegrityError, InternalError, OperationalError

from forecasting.errors import InputError
from service.benchmarks.server import Server, running
from service.cli import main
from service.settings import Settings
from service.store import alerts, bulk, counts, ingests
from service.store.engine import STANDSTILL, is_outage, open_engine, reading, require_current, upgrade, writing
from service.store.schema import daily_counts, tickets

NOW = datetime(2025, 1, 2, tzinfo=UTC)


def _says(url: str) -> str:
    """The one line that both `upgrade` and `require_current` say."""
    lines = set()
    with pytest.raises(InputError) as caught:
        upgrade(url)
    lines.add(str(caught.value))
    engine = open_engine(url)
    with pytest.raises(InputError) as caught:
        require_current(engine)
    engine.dispose()
    lines.add(str(caught.value))
    assert len(lines) == 1
    line = lines.pop()
    assert "\n" not in line
    assert "secret" not in line
    return line


def test_a_server_that_does_not_answer_is_said_in_one_line() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens
        line = _says(f"postgresql://me:secret@127.0.0.1:{taken.getsockname()[1]}/weisu")
    assert "Connection refused" in line
    assert line.endswith("start the server, or correct WEISU_DATABASE_URL")


def test_a_wrong_password_is_said_in_one_line_without_it(postgresql: Server) -> None:
    line = _says(f"postgresql://weisu:secret@127.0.0.1:{postgresql.port}/postgres")
    assert "password authentication failed" in line
    assert line.endswith("correct user and password in WEISU_DATABASE_URL")


def test_a_database_that_is_not_there_is_said_with_the_way_to_make_it(postgresql: Server) -> None:
    line = _says(f"postgresql://weisu:right@127.0.0.1:{postgresql.port}/nowhere?application_name=secret")
    assert line.endswith('database "nowhere" does not exist); create it: createdb nowhere')


def test_the_command_line_says_it_and_ends_as_with_other_bad_input(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WEISU_DATABASE_URL", f"postgresql://weisu:secret@127.0.0.1:{postgresql.port}/postgres")
    for command in (["db", "upgrade"], ["status"]):
        assert main(command) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "secret" not in said


@pytest.mark.parametrize("url", ["mysql://me:secret@host/weisu", "nonsense secret", "postgresql://me:secret@host:port/weisu", "postgresql"])
def test_an_address_of_something_else_is_bad_input(url: str) -> None:
    with pytest.raises(InputError, match="write it like sqlite") as caught:
        open_engine(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("kind", ["postgresql", "postgres", "postgresql+psycopg", "postgresql+psycopg2"])
def test_any_usual_way_to_write_postgresql_is_understood(kind: str, postgresql: Server) -> None:
    engine = open_engine(postgresql.address("postgres").replace("postgresql", kind))
    with reading(engine) as conn:
        assert conn.execute(text("select 1")).scalar() == 1
        assert conn.dialect.driver == "psycopg"
    engine.dispose()


def test_a_file_that_is_no_database_is_said_in_one_line(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("folder") / "weisu.db"
    path.write_text("this is a letter and no database at all" * 100)
    assert "file is not a database" in _says(f"sqlite:///{path}")


def test_a_server_that_was_restarted_is_found_again(postgresql: Server) -> None:
    engine = open_engine(postgresql.address("postgres"))
    for _ in range(2):
        with reading(engine) as conn:
            assert conn.execute(text("select 1")).scalar() == 1
        postgresql.run("select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'")
    engine.dispose()


def test_a_session_ends_soon_after_its_machine_is_gone(postgresql: Server) -> None:
    engine = open_engine(f"postgresql://weisu:right@127.0.0.1:{postgresql.port}/postgres")
    with reading(engine) as conn:
        asked = {
            name: conn.execute(text(f"show {name}")).scalar_one()
            for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
        }
    assert asked == {"tcp_keepalives_idle": "30", "tcp_keepalives_interval": "10", "tcp_keepalives_count": "3"}
    engine.dispose()


def test_a_writer_that_does_nothing_in_its_transaction_loses_it_soon_and_a_reader_may_be_slow(
    postgresql: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.store.engine.PAUSE", 0.3)
    engine = open_engine(postgresql.address("postgres"))
    with reading(engine) as conn:
        assert conn.execute(text("show idle_in_transaction_session_timeout")).scalar_one() == "2h"
        assert Settings.model_fields["request_seconds"].metadata[-1].le < STANDSTILL  # so long an answer waits for its reader

    def write() -> None:
        with writing(engine) as conn:
            conn.execute(text("select 1"))
            time.sleep(1)
            conn.execute(text("select 1"))

    with pytest.raises(OperationalError, match="idle-in-transaction timeout"):  # as where the server is gone: try again
        write()
    with writing(engine) as conn:
        assert conn.execute(text("select 1")).scalar_one() == 1
    with reading(engine) as conn:
        time.sleep(1)
        assert conn.execute(text("show idle_in_transaction_session_timeout")).scalar_one() == "2h"
    engine.dispose()


def begin(engine: Engine) -> int:
    """Writes a row."""
    with writing(engine) as conn:
        return ingests.begin(conn, "tickets", "a.csv", NOW)


def read(engine: Engine) -> int:
    """How many there are."""
    with reading(engine) as conn:
        return len(ingests.list_recent(conn))


def test_a_standby_can_be_read_is_away_for_who_writes_and_the_server_in_its_place_is_found() -> None:
    with running({"fsync": "off"}) as server:
        engine = open_engine(server.address("postgres"))
        upgrade(server.address("postgres"))
        assert begin(engine) == 1
        standby(server, on=True)
        for had_read in (False, False, True, True):
            if had_read:
                assert read(engine) == 1
            with pytest.raises(OperationalError, match=r"read-only transaction|during recovery") as caught:
                begin(engine)
            assert is_outage(caught.value)
        standby(server, on=False)
        begin(engine)
        assert read(engine) == 2
        engine.dispose()


def test_connections_to_a_server_that_is_no_longer_written_to_are_let_go(postgresql: Server) -> None:
    made = PostgresqlDatabases(postgresql)
    url = made.fresh()
    engine = open_engine(url)
    postgresql.run(f"alter database {make_url(url).database} set default_transaction_read_only = on")
    with engine.connect(), engine.connect():  # two of the pool's
        pass
    postgresql.run(f"alter database {make_url(url).database} reset default_transaction_read_only")  # the address leads elsewhere now
    with pytest.raises(OperationalError, match="read-only transaction"):
        begin(engine)
    assert begin(engine) == 1
    engine.dispose()
    made.put_away()


def test_a_transaction_of_ours_that_only_reads_and_writes_is_no_outage(postgresql: Server) -> None:
    engine = open_engine(postgresql.address("postgres"))
    with pytest.raises(InternalError, match="read-only transaction") as caught, reading(engine) as conn:
        conn.exec_driver_sql("create table mine (id int)")
    assert not is_outage(caught.value)
    engine.dispose()


@pytest.mark.parametrize(
    ("code", "outage"),
    [("57014", False), ("53200", False), ("53400", False), ("54000", False), ("53100", True), ("53300", True), ("55P03", True), ("57P03", True)],
)
def test_what_a_statement_may_bring_about_itself_is_told_from_a_server_that_is_away(postgresql: Server, code: str, outage: bool) -> None:
    engine = open_engine(postgresql.address("postgres"))
    with pytest.raises(OperationalError) as caught, writing(engine) as conn:
        conn.exec_driver_sql(f"do $$ begin raise exception 'in need' using errcode = '{code}'; end $$")
    assert is_outage(caught.value) is outage
    engine.dispose()


def test_a_statement_that_takes_longer_than_it_may_is_no_outage(postgresql: Server) -> None:
    engine = open_engine(postgresql.address("postgres"))
    with pytest.raises(OperationalError, match="statement timeout") as caught, writing(engine) as conn:
        conn.exec_driver_sql("set local statement_timeout = '100ms'; select pg_sleep(60)")
    assert not is_outage(caught.value)
    engine.dispose()


FULL = {
    "sqlite": ["create trigger is_full before insert on daily_counts begin select raise(abort, 'it is full'); end"],
    "postgresql": [
        "create function is_full() returns trigger as $$ begin raise exception 'it is full' using errcode = 'disk_full'; end $$ language plpgsql",
        "create trigger is_full before insert on daily_counts for each row execute function is_full()",
    ],
}


def test_what_goes_wrong_while_rows_go_in_or_come_in_bulk_is_told_as_with_any_statement(databases: Databases) -> None:
    url = databases.bare()
    upgrade(url)
    engine = open_engine(url)
    with writing(engine) as conn:
        for statement in FULL[engine.dialect.name]:
            conn.exec_driver_sql(statement)
    frame = pd.DataFrame({"day": pd.Timestamp("2025-01-01").as_unit("us"), "area": ["D"], "category": "X", "count": 1})
    with pytest.raises(DBAPIError, match="it is full") as caught, writing(engine) as conn:
        bulk.insert(conn, daily_counts, frame)
    assert isinstance(caught.value, OperationalError if engine.dialect.name == "postgresql" else IntegrityError)
    with pytest.raises(DBAPIError, match="nowhere"), reading(engine) as conn:
        bulk.read(conn, select(table("nowhere", column("day")).c.day))
    engine.dispose()


def test_texts_are_in_the_order_of_their_code_points(engine: Engine) -> None:
    codes = ["a", "B", "Z", "é", "海淀", "10", "9", "_", "b"]
    day = pd.Timestamp("2025-01-01").as_unit("us")
    with writing(engine) as conn:
        bulk.insert(conn, daily_counts, pd.DataFrame({"day": day, "area": codes, "category": "X", "count": 1}))
        assert counts.daily(conn)["area"].tolist() == sorted(codes)
        if conn.dialect.name == "postgresql":  # every text of the schema, whatever the collation of the database
            query = "select table_name, column_name from information_schema.columns where table_schema = 'public' and data_type in ({})"
            query = query.format("'text', 'character varying'") + " and collation_name is distinct from 'C' and table_name <> 'alembic_version'"
            assert conn.execute(text(query)).all() == []


def test_any_text_goes_in_comes_back_and_is_found(engine: Engine) -> None:
    texts = ["50%", "a'b", 'say "yes"', "逗,号", "two\nlines", "\\N", "\\.", "back\\slash", ":name", "%s", "%(x)s", " ", "{}"]
    day = pd.Timestamp("2025-01-01").as_unit("us")
    with writing(engine) as conn:
        frame = pd.DataFrame({"day": day, "area": texts, "category": pd.Categorical(texts), "count": range(1, len(texts) + 1)})
        bulk.insert(conn, daily_counts, frame)
        for number, one in enumerate(texts, 1):
            found = counts.daily(conn, areas=[one, "none"], categories=[one])
            assert found[["area", "category", "count"]].to_numpy().tolist() == [[one, one, number]]


def test_what_is_missing_goes_in_and_comes_back_as_missing(engine: Engine) -> None:
    moments = pd.Series(pd.to_datetime(["2025-01-01T01:02:03.456789Z"] * 2)).astype(bulk.UTC_MOMENT)
    frame = pd.DataFrame(
        {
            "source": "hotline",
            "ticket_id": ["a", "b"],
            "area": "D",
            "category": "X",
            "created_at": moments,
            "day": pd.Timestamp("2025-01-01").as_unit("us"),
            "hour": moments,
            "received_at": moments,
            "updated_at": moments.mask([True, False]),
            "status": pd.Series(["", None], dtype="str"),
            "lat": [None, 1.5],
            "ingest_id": 1,
        }
    )
    with writing(engine) as conn:
        bulk.insert(conn, tickets, frame)
        rows = bulk.read(conn, select(*(tickets.c[name] for name in frame.columns)).order_by(tickets.c.ticket_id))
        plain = conn.execute(select(tickets.c.updated_at, tickets.c.status, tickets.c.lat).order_by(tickets.c.ticket_id)).all()
    pd.testing.assert_frame_equal(rows, frame.assign(lat=frame["lat"].astype("float64")), check_dtype=False)
    moment = datetime(2025, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)
    assert [tuple(row) for row in plain] == [(None, "", None), (moment, None, 1.5)]


def _put(conn: Connection, table: str, **values: object) -> None:
    """A row as the database stores it, whatever tables the program has today."""
    conn.execute(text(f"insert into {table} ({', '.join(values)}) values ({', '.join(f':{name}' for name in values)})"), values)


def test_the_tables_of_the_first_release_come_up_to_date_with_their_data(databases: Databases) -> None:
    url = databases.bare()
    upgrade(url, "0001")
    engine = open_engine(url)
    sqlite = engine.dialect.name == "sqlite"
    moment = 1735689600000000 if sqlite else "2025-01-01 00:00:00"
    ticket = {"area": "D", "category": "X", "day": "2025-01-01", "hour": moment, "received_at": moment, "ingest_id": 7}
    counted = dict.fromkeys(("rows", "added"), 2) | dict.fromkeys(("changed", "unchanged", "rejected", "later"), 0)
    with engine.begin() as conn:
        _put(conn, "ingests", id=7, kind="tickets", name="a.csv", started_at=moment, finished_at=moment, status="done", **counted)
        for number in (1, 2):
            _put(conn, "tickets", source="hotline", ticket_id=f"t{number}", created_at=moment, **ticket)
            _put(conn, "count_changes", delta=1, **ticket)
        _put(conn, "daily_counts", day="2025-01-01", area="D", category="X", count=2)
        for number, source in (
            (3, "Constituent Call"),
            (4, "Constituent Call"),
            (4, "Self Service"),
            (5, "grid"),
        ):  # uncounted: names alone matter here
            _put(conn, "tickets", source=source, ticket_id=f"t{number}", created_at=moment, **ticket)
        _put(conn, "areas", code="D", parent="ALL", level="district", zh="区", en="D", first_seen=moment)
        _put(conn, "runs", id=1, business_date="2025-01-01", attempt=1, status="done", started_at=moment, owner="x", lease_until=moment)
        known = {"run_id": 1, "cutoff": "2025-01-01", "horizon": 1, "issued_at": moment, "rows": 0, "sha256": "", "blob": b""}
        _put(conn, "forecast_sets", id=1, **known)
        told = dict.fromkeys(("onset", "last_day"), "2025-01-01") | dict.fromkeys(("expected", "lower", "upper", "p_value"), 0.5)
        told |= dict.fromkeys(("raised_at", "changed_at"), moment) | dict.fromkeys(("reason_zh", "reason_en"), "why")
        _put(conn, "alerts", id="a", kind="SPIKE", level="red", status="open", area="D", category="X", districts="[]", usual_days=0, **told,
             forecast_set_id=1)  # fmt: skip
    with pytest.raises(InputError, match="run `weisu db upgrade`"):
        require_current(engine)
    upgrade(url)
    require_current(engine)
    with reading(engine) as conn:
        assert counts.daily(conn)["count"].tolist() == [2]
        assert counts.as_of(conn, NOW)["count"].tolist() == [2]
        assert counts.hourly(conn, datetime(2025, 1, 1, tzinfo=UTC).date(), NOW.date())["count"].tolist() == [2]
        assert ingests.list_recent(conn)[0].added == 2
        assert {column["name"] for column in inspect(conn).get_columns("tickets")} >= {"caller", "ticket_id"}
        (alert,) = alerts.running(conn)
        assert (alert.id, alert.level, alert.verdict, alert.judged_at) == ("a", "red", None, None)
        assert conn.execute(text("select count(*) from tickets where ticket_id in ('t1', 't2') and ingest_id = 7 and demand")).scalar() == 2
        named = conn.execute(select(tickets.c.ticket_id, tickets.c.source).where(tickets.c.ticket_id > "t2").order_by("ticket_id", "source")).all()
        assert [tuple(row) for row in named] == [("t3", "hotline"), ("t4", "Constituent Call"), ("t4", "Self Service"), ("t5", "grid")]
    with writing(engine) as conn:  # numbers go on where they were
        assert alerts.judge(conn, "a", None, "false", "x", None, NOW)
        assert ingests.begin(conn, "tickets", "b.csv", NOW) > (7 if sqlite else 0)
    engine.dispose()
