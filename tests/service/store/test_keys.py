"""Keys: shown once, stored as a keyed hash, ended for good; replaced without a gap."""

import hashlib
import hmac
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, Engine, event, select, update

from forecasting.errors import InputError
from service.store import areas, keys, page_tokens
from service.store.engine import writing
from service.store.schema import api_keys
from service.store.schema import page_tokens as page_tokens_table

NOW = datetime(2025, 11, 9, 7, 30, tzinfo=UTC)
SECRET = b"of this installation"
DAY = timedelta(days=1)


def create(conn: Connection, name: str, scopes: list[str], districts: list[str] | None = None, expires_at: datetime | None = None) -> str:
    return keys.create(conn, name, scopes, districts, NOW, secret=SECRET, expires_at=expires_at)


def verify(conn: Connection, token: str, now: datetime = NOW) -> keys.Caller | None:
    return keys.verify(conn, token, now, secret=SECRET)


@pytest.fixture
def conn(engine: Engine) -> Iterator[Connection]:
    with writing(engine) as conn:
        areas.join(conn, {"110105": "ALL", "110108": "ALL", "110105A": "110105"}, NOW)
        yield conn


def test_a_key_names_its_caller(conn: Connection) -> None:
    token = create(conn, "海淀区值班室", ["alerts:read", "forecasts:read"], ["110108"])
    caller = verify(conn, token)
    assert caller is not None
    assert (caller.name, caller.scopes, caller.districts) == ("海淀区值班室", {"alerts:read", "forecasts:read"}, {"110108"})


def test_a_key_without_a_limit_is_for_the_whole_city(conn: Connection) -> None:
    caller = verify(conn, create(conn, "bi", ["forecasts:read"]))
    assert caller is not None
    assert caller.districts is None


def test_a_key_reads_as_promised_and_its_id_is_the_public_part(conn: Connection) -> None:
    token = create(conn, "bi", ["admin"])
    form = re.fullmatch(r"weisu_([0-9a-z]{10})_[0-9A-Za-z]{38}", token)
    assert form is not None
    assert [key.id for key in keys.list_keys(conn)] == [form[1]]


def test_the_database_does_not_hold_the_secret(conn: Connection) -> None:
    secret = create(conn, "bi", ["admin"]).split("_")[2]
    stored = " ".join(str(value) for value in conn.execute(select(api_keys)).one())
    assert not any(secret[start : start + 8] in stored for start in range(len(secret) - 7))


def test_two_keys_for_the_same_name_differ(conn: Connection) -> None:
    first, second = (create(conn, "bi", ["admin"]) for _ in range(2))
    assert first != second
    assert verify(conn, first) != verify(conn, second)


def test_any_changed_letter_makes_a_key_worthless(conn: Connection) -> None:
    token = create(conn, "bi", ["admin"])
    for place, letter in enumerate(token):
        changed = token[:place] + ("a" if letter != "a" else "b") + token[place + 1 :]
        assert verify(conn, changed) is None


def test_a_right_checksum_does_not_make_up_for_a_wrong_secret(conn: Connection) -> None:
    mine, other = create(conn, "mine", ["admin"]), create(conn, "other", ["admin"])
    forged = f"weisu_{mine.split('_')[1]}_{other.split('_')[2][:-6]}"
    assert verify(conn, forged + keys._checksum(forged)) is None


@pytest.mark.parametrize("token", ["", "weisu_", "weisu__", "Bearer", "weisu_0123456789_" + "é" * 38, "weisu_0123456789_" + "0" * 38, "\x00" * 100])
def test_what_is_no_key_is_nobody(conn: Connection, token: str) -> None:
    assert verify(conn, token) is None


def test_a_revoked_key_is_nobody_and_stays_in_the_list(conn: Connection) -> None:
    token = create(conn, "bi", ["admin"])
    (key,) = keys.list_keys(conn)
    assert keys.revoke(conn, key.id, NOW)
    assert verify(conn, token) is None
    assert [key.revoked_at for key in keys.list_keys(conn)] == [NOW]


def test_a_key_is_revoked_once(conn: Connection) -> None:
    create(conn, "bi", ["admin"])
    (key,) = keys.list_keys(conn)
    assert keys.revoke(conn, key.id, NOW)
    assert not keys.revoke(conn, key.id, NOW)
    assert not keys.revoke(conn, "nobody", NOW)


def test_who_may_change_alerts_may_read_them_and_no_more(conn: Connection) -> None:
    caller = verify(conn, create(conn, "duty", ["alerts:write"]))
    assert caller is not None
    assert {scope for scope in keys.SCOPES if caller.may(scope)} == {"alerts:read", "alerts:write"}


def test_an_administrator_may_do_everything(conn: Connection) -> None:
    caller = verify(conn, create(conn, "root", ["admin"]))
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
        create(conn, name, scopes, districts)
    assert refused.value.where == where
    assert keys.list_keys(conn) == []


def test_a_key_is_valid_before_its_end_and_not_from_then_on(conn: Connection) -> None:
    token = create(conn, "bi", ["admin"], expires_at=NOW + DAY)
    assert verify(conn, token, NOW + DAY - timedelta(microseconds=1)) is not None
    assert verify(conn, token, NOW + DAY) is None
    (key,) = keys.list_keys(conn)
    assert (key.expires_at, key.valid(NOW), key.valid(NOW + DAY)) == (NOW + DAY, True, False)


def test_a_key_cannot_end_before_it_begins(conn: Connection) -> None:
    with pytest.raises(InputError, match="cannot end before it begins"):
        create(conn, "bi", ["admin"], expires_at=NOW)


def test_a_hash_that_was_stored_without_the_secret_of_the_installation_is_no_key(conn: Connection) -> None:
    token = create(conn, "bi", ["admin"])
    assert keys.verify(conn, token, NOW, secret=b"of another installation") is None
    forged = hmac.new(b"guessed", token.encode(), hashlib.sha256).hexdigest()
    conn.execute(update(api_keys).values(hash=forged))
    assert verify(conn, token) is None


def test_what_is_stored_is_an_hmac_of_the_whole_key(conn: Connection) -> None:
    token = create(conn, "bi", ["admin"])
    assert conn.scalar(select(api_keys.c.hash)) == hmac.new(SECRET, token.encode(), "sha256").hexdigest()


def test_a_key_of_an_earlier_version_stays_valid_and_its_first_use_makes_its_hash_a_keyed_one(conn: Connection) -> None:
    token = create(conn, "bi", ["admin"])
    keyed = conn.scalar(select(api_keys.c.hash))
    conn.execute(update(api_keys).values(hash=hashlib.sha256(token.encode()).hexdigest()))
    assert verify(conn, token) is not None
    assert keys.note_uses(conn, [token], NOW, secret=SECRET) == 1
    assert conn.scalar(select(api_keys.c.hash)) == keyed
    assert verify(conn, token) is not None


def test_the_last_use_is_written_once_a_minute_at_most(conn: Connection) -> None:
    token, other = create(conn, "bi", ["admin"]), create(conn, "other", ["admin"])
    moments = [NOW, NOW + timedelta(seconds=59), NOW + timedelta(seconds=60)]
    assert [keys.note_uses(conn, [token], moment, secret=SECRET) for moment in moments] == [1, 0, 1]
    assert {key.name: key.last_used_at for key in keys.list_keys(conn)} == {"bi": moments[2], "other": None}
    assert verify(conn, other) is not None


def test_uses_of_many_keys_are_written_at_once(conn: Connection) -> None:
    tokens = [create(conn, name, ["admin"]) for name in "abc"]
    assert keys.note_uses(conn, tokens[:1], NOW, secret=SECRET) == 1
    asked: list[str] = []
    event.listen(conn.engine, "before_cursor_execute", lambda conn, cursor, text, *_: asked.append(text))
    assert keys.note_uses(conn, [*tokens, "weisu_none_at_all"], NOW + timedelta(seconds=30), secret=SECRET) == 2
    assert len(asked) == 1
    assert {key.name: key.last_used_at for key in keys.list_keys(conn)} == {"a": NOW} | dict.fromkeys("bc", NOW + timedelta(seconds=30))
    assert all(verify(conn, token) is not None for token in tokens)


def test_a_rotation_leaves_two_keys_until_the_overlap_has_passed(conn: Connection) -> None:
    old = create(conn, "海淀区值班室", ["alerts:write"], ["110108"])
    (first,) = keys.list_keys(conn)
    new = keys.rotate(conn, first.id, 7 * DAY, NOW + DAY, secret=SECRET)
    before, after = verify(conn, old, NOW + DAY), verify(conn, new, NOW + DAY)
    assert before is not None
    assert after is not None
    assert (after.name, after.scopes, after.districts) == (before.name, before.scopes, before.districts)
    assert after.id != before.id
    assert verify(conn, old, NOW + 8 * DAY - timedelta(seconds=1)) is not None
    assert verify(conn, old, NOW + 8 * DAY) is None
    assert verify(conn, new, NOW + 800 * DAY) is not None
    assert {key.id: key.replaced_by for key in keys.list_keys(conn)} == {before.id: after.id, after.id: None}


def test_a_rotation_keeps_the_lifetime_and_never_prolongs_the_old_key(conn: Connection) -> None:
    create(conn, "bi", ["admin"], expires_at=NOW + 30 * DAY)
    (old,) = keys.list_keys(conn)
    keys.rotate(conn, old.id, 7 * DAY, NOW + 29 * DAY, secret=SECRET)
    assert {key.expires_at for key in keys.list_keys(conn)} == {NOW + 30 * DAY, NOW + 59 * DAY}


def test_of_one_name_no_more_than_two_keys_come_from_rotations(conn: Connection) -> None:
    create(conn, "bi", ["admin"])
    (old,) = keys.list_keys(conn)
    keys.rotate(conn, old.id, 7 * DAY, NOW, secret=SECRET)
    with pytest.raises(InputError, match="has been replaced by"):
        keys.rotate(conn, old.id, 7 * DAY, NOW, secret=SECRET)
    assert len(keys.list_keys(conn)) == 2


@pytest.mark.parametrize("ended", ["revoked", "expired", "unknown"])
def test_what_is_no_valid_key_cannot_be_rotated(conn: Connection, ended: str) -> None:
    create(conn, "bi", ["admin"], expires_at=NOW + DAY)
    (key,) = keys.list_keys(conn)
    if ended == "revoked":
        keys.revoke(conn, key.id, NOW)
    with pytest.raises(InputError, match="no valid key"):
        keys.rotate(conn, "nobody" if ended == "unknown" else key.id, DAY, NOW + (DAY if ended == "expired" else 0 * DAY), secret=SECRET)
    assert len(keys.list_keys(conn)) == 1


def test_a_page_s_token_is_taken_once_and_in_time(conn: Connection) -> None:
    token, late = page_tokens.create(conn, NOW), page_tokens.create(conn, NOW)
    assert not page_tokens.redeem(conn, token + "x", NOW)
    assert [page_tokens.redeem(conn, token, NOW) for _ in range(2)] == [True, False]
    assert not page_tokens.redeem(conn, late, NOW + page_tokens.LIFETIME)
    assert token not in str(conn.execute(select(page_tokens_table)).all())
    page_tokens.create(conn, NOW + page_tokens.LIFETIME)
    assert len(conn.execute(select(page_tokens_table)).all()) == 1, "those that nobody took are cleared away"
