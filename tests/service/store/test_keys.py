"""Keys: shown once, stored as a hash, ended for good."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from sqlalchemy import Connection, Engine, select

from forecasting.errors import InputError
from service.store import areas, keys
from service.store.engine import writing
from service.store.schema import api_keys

NOW = datetime(2025, 11, 9, 7, 30, tzinfo=UTC)


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with writing(engine) as conn:
        areas.join(conn, {"110105": "ALL", "110108": "ALL", "110105A": "110105"}, NOW)
        yield conn


def test_a_key_names_its_caller(conn: Connection) -> None:
    token = keys.create(conn, "海淀区值班室", ["alerts:read", "forecasts:read"], ["110108"], NOW)
    caller = keys.verify(conn, token)
    assert caller is not None
    assert (caller.name, caller.scopes, caller.districts) == ("海淀区值班室", {"alerts:read", "forecasts:read"}, {"110108"})


def test_a_key_without_a_limit_is_for_the_whole_city(conn: Connection) -> None:
    caller = keys.verify(conn, keys.create(conn, "bi", ["forecasts:read"], None, NOW))
    assert caller is not None
    assert caller.districts is None


def test_a_key_reads_as_promised_and_its_id_is_the_public_part(conn: Connection) -> None:
    token = keys.create(conn, "bi", ["admin"], None, NOW)
    form = re.fullmatch(r"weisu_([0-9a-z]{10})_[0-9A-Za-z]{38}", token)
    assert form is not None
    assert [key.id for key in keys.list_keys(conn)] == [form[1]]


def test_the_database_does_not_hold_the_secret(conn: Connection) -> None:
    secret = keys.create(conn, "bi", ["admin"], None, NOW).split("_")[2]
    stored = " ".join(str(value) for value in conn.execute(select(api_keys)).one())
    assert not any(secret[start : start + 8] in stored for start in range(len(secret) - 7))


def test_two_keys_for_the_same_name_differ(conn: Connection) -> None:
    first, second = (keys.create(conn, "bi", ["admin"], None, NOW) for _ in range(2))
    assert first != second
    assert keys.verify(conn, first) != keys.verify(conn, second)


def test_any_changed_letter_makes_a_key_worthless(conn: Connection) -> None:
    token = keys.create(conn, "bi", ["admin"], None, NOW)
    for place, letter in enumerate(token):
        changed = token[:place] + ("a" if letter != "a" else "b") + token[place + 1 :]
        assert keys.verify(conn, changed) is None


def test_a_right_checksum_does_not_make_up_for_a_wrong_secret(conn: Connection) -> None:
    mine, other = keys.create(conn, "mine", ["admin"], None, NOW), keys.create(conn, "other", ["admin"], None, NOW)
    forged = f"weisu_{mine.split('_')[1]}_{other.split('_')[2][:-6]}"
    assert keys.verify(conn, forged + keys._checksum(forged)) is None


@pytest.mark.parametrize("token", ["", "weisu_", "weisu__", "Bearer", "weisu_0123456789_" + "é" * 38, "weisu_0123456789_" + "0" * 38, "\x00" * 100])
def test_what_is_no_key_is_nobody(conn: Connection, token: str) -> None:
    assert keys.verify(conn, token) is None


def test_a_revoked_key_is_nobody_and_stays_in_the_list(conn: Connection) -> None:
    token = keys.create(conn, "bi", ["admin"], None, NOW)
    (key,) = keys.list_keys(conn)
    assert keys.revoke(conn, key.id, NOW)
    assert keys.verify(conn, token) is None
    assert [key.revoked_at for key in keys.list_keys(conn)] == [NOW]


def test_a_key_is_revoked_once(conn: Connection) -> None:
    keys.create(conn, "bi", ["admin"], None, NOW)
    (key,) = keys.list_keys(conn)
    assert keys.revoke(conn, key.id, NOW)
    assert not keys.revoke(conn, key.id, NOW)
    assert not keys.revoke(conn, "nobody", NOW)


def test_who_may_change_alerts_may_read_them_and_no_more(conn: Connection) -> None:
    caller = keys.verify(conn, keys.create(conn, "duty", ["alerts:write"], None, NOW))
    assert caller is not None
    assert {scope for scope in keys.SCOPES if caller.may(scope)} == {"alerts:read", "alerts:write"}


def test_an_administrator_may_do_everything(conn: Connection) -> None:
    caller = keys.verify(conn, keys.create(conn, "root", ["admin"], None, NOW))
    assert caller is not None
    assert all(caller.may(scope) for scope in keys.SCOPES)


@pytest.mark.parametrize(
    ("name", "scopes", "districts", "where"),
    [
        ("  ", ["admin"], None, "name"),
        ("x" * 81, ["admin"], None, "name"),
        ("two\nlines", ["admin"], None, "name"),
        ("bi", [], None, "scopes"),
        ("bi", ["admin", "forecast:read"], None, "scopes"),
        ("bi", ["admin"], [], "districts"),
        ("bi", ["admin"], ["110105", "110199"], "districts"),
        ("bi", ["admin"], ["110105A"], "districts"),  # a street
        ("bi", ["admin"], ["ALL"], "districts"),
    ],
)
def test_a_key_that_makes_no_sense_is_refused(conn: Connection, name: str, scopes: list[str], districts: list[str] | None, where: str) -> None:
    with pytest.raises(InputError) as refused:
        keys.create(conn, name, scopes, districts, NOW)
    assert refused.value.where == where
    assert keys.list_keys(conn) == []
