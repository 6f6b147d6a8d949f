"""API keys: who may ask, what for, for which districts, and until when.

A key reads `weisu_<id>_<secret><checksum>`. The id is public and finds the row; the checksum (CRC-32) tells a mistyped or cut-off key
from a revoked one without a query, and lets secret scanners recognise a leaked key.

Only a keyed hash of the whole key is stored: HMAC with SHA-256 under the installation's secret, which lies outside the database. The 190
bits of a key nobody tries out, so the hash need not be slow; the secret keeps whoever can write to the database, or to a backup of it,
from making a key by writing a row. Keys of versions before it are stored as a plain SHA-256: they stay valid, and the first use of one
turns its hash into a keyed one. Whoever loses the secret makes new keys.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, insert, or_, select, update

from forecasting.errors import InputError
from service.store.schema import api_keys, areas

SCOPES = ("forecasts:read", "alerts:read", "alerts:write", "tickets:write", "admin")
_IMPLIED = {"alerts:write": ("alerts:read",), "admin": SCOPES}  # who may change an alert must see it

USE_EVERY = timedelta(minutes=1)  # the last use of a key is written so often at most: it is read by people

BEGINS = "weisu_"  # as every key does, and nothing else that somebody may bear

_LETTERS = string.digits + string.ascii_letters
_ID_LETTERS = string.digits + string.ascii_lowercase  # an id is read aloud on the telephone: no capitals
_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 10, 32, 6  # 62**6 holds every CRC-32
_FORM = re.compile(rf"{BEGINS}([0-9a-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECK_LENGTH}}})", re.ASCII)


@dataclass(frozen=True)
class Caller:
    """Who asks.

    Attributes:
        id: public part of the key.
        name: the key's name; stands as the actor in the history of an alert.
        scopes: what the key was made for.
        districts: codes of the districts it is limited to; None: the whole city.
    """

    id: str
    name: str
    scopes: frozenset[str]
    districts: frozenset[str] | None

    def may(self, scope: str) -> bool:
        """Whether the key has a scope, itself or because it follows from another one."""
        return scope in self.scopes or any(scope in _IMPLIED.get(own, ()) for own in self.scopes)


@dataclass(frozen=True)
class Key:
    """A key as a list shows it: everything but the secret.

    Attributes:
        expires_at: it is valid before this moment; None: until it is revoked.
        last_used_at: the minute of its last use; None: never used.
        replaced_by: id of the key that a rotation made in its place.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    districts: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    replaced_by: str | None

    def valid(self, now: datetime) -> bool:
        """Whether it opens anything."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def create(
    conn: Connection,
    name: str,
    scopes: Iterable[str],
    districts: Iterable[str] | None,
    now: datetime,
    *,
    secret: bytes,
    expires_at: datetime | None = None,
) -> str:
    """Makes a key and returns it; it is never shown again.

    Args:
        conn: a connection in a writing transaction.
        name: who it is for; 1 to 80 characters.
        scopes: one or more of SCOPES.
        districts: codes to limit it to, or None for the whole city.
        now: the present moment.
        secret: key of the hashes, see `service.secret.of_keys`.
        expires_at: it is valid before this moment; None: until it is revoked.

    Raises:
        InputError: no name, no or an unknown scope, an empty limit, a district that is not in the area tree, or an end that has passed.
    """
    wanted = sorted(set(scopes), key=lambda scope: (SCOPES.index(scope) if scope in SCOPES else -1, scope))
    limit = None if districts is None else sorted(set(districts))
    name = name.strip()
    if not 1 <= len(name) <= 80 or not name.isprintable():
        raise InputError("a key needs a name of 1 to 80 printable characters", "name", "name the person or program that will use it")
    if not wanted:
        raise InputError("a key needs a scope", "scopes", f"choose from {', '.join(SCOPES)}")
    if wanted[0] not in SCOPES:
        raise InputError(f"there is no scope '{wanted[0]}'", "scopes", f"choose from {', '.join(SCOPES)}")
    if limit is not None:
        known = set(conn.scalars(select(areas.c.code).where(areas.c.level == "district", areas.c.code.in_(limit))))
        missing = [code for code in limit if code not in known]
        if missing or not limit:
            what = f"there is no district '{missing[0]}'" if missing else "a limit needs at least one district"
            raise InputError(what, "districts", "name districts of the area tree, or leave the limit out for the whole city")
    if expires_at is not None and expires_at <= now:
        raise InputError("a key cannot end before it begins", "expires_at", "choose a later end")
    return _made(conn, name, wanted, limit, now, secret, expires_at)[1]


def rotate(conn: Connection, key_id: str, overlap: timedelta, now: datetime, *, secret: bytes) -> str:
    """Makes a key in the place of another one, with its name, scopes, districts and lifetime; returns it. Both are valid until the overlap ends.

    Args:
        conn: a connection in a writing transaction.
        overlap: how long the old one stays valid; one that ends sooner anyway still does.

    Raises:
        InputError: there is no valid key of that id, or one was made in its place already.
    """
    old = next((key for key in list_keys(conn) if key.id == key_id and key.valid(now)), None)
    if old is None:
        raise InputError(f"there is no valid key '{key_id[:80]}'", "KEY_ID", "see `weisu keys list`")
    if old.replaced_by is not None:
        raise InputError(f"the key '{key_id}' has been replaced by '{old.replaced_by}'", "KEY_ID", "rotate that one, or revoke either")
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    fresh_id, token = _made(conn, old.name, old.scopes, old.districts, now, secret, None if lifetime is None else now + lifetime)
    end = now + overlap
    end = end if old.expires_at is None else min(end, old.expires_at)
    conn.execute(update(api_keys).where(api_keys.c.id == key_id).values(expires_at=end, replaced_by=fresh_id))
    return token


def verify(conn: Connection, token: str, now: datetime, *, secret: bytes) -> Caller | None:
    """The caller that a key stands for, or None if it is malformed, unknown, expired or revoked."""
    key_id = _id_of(token)
    if key_id is None:
        return None
    ended = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    row = conn.execute(select(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None), ended)).one_or_none()
    if row is None or not (hmac.compare_digest(row.hash, _keyed(token, secret)) or hmac.compare_digest(row.hash, _plain(token))):
        return None
    return Caller(row.id, row.name, frozenset(row.scopes), None if row.districts is None else frozenset(row.districts))


def usable(conn: Connection, now: datetime) -> frozenset[str]:
    """Ids of the keys that are neither revoked nor expired."""
    ended = or_(api_keys.c.expires_at.is_(None), api_keys.c.expires_at > now)
    return frozenset(conn.scalars(select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None), ended)))


def ended(conn: Connection, now: datetime) -> dict[str, str]:
    """Why keys, by id, open nothing any more: "its key 'name' (id) was revoked". Where one was replaced and has expired, why the one in its place."""
    every = {key.id: key for key in list_keys(conn)}
    found = {}
    for key in every.values():
        last = key
        while last.revoked_at is None and not last.valid(now) and last.replaced_by in every:
            last = every[last.replaced_by]
        if not last.valid(now):
            found[key.id] = f"its key '{last.name}' ({last.id}) {'has expired' if last.revoked_at is None else 'was revoked'}"
    return found


def note_uses(conn: Connection, tokens: Iterable[str], now: datetime, *, secret: bytes) -> int:
    """Writes down that verified keys were used, each unless that was done within the last minute; their hashes become keyed ones. Says how many
    it wrote.

    One statement for all of them: hundreds of single ones keep a worker's other threads waiting for fifty milliseconds.
    """
    c = api_keys.c
    known = or_(c.hash == bindparam("keyed"), c.hash == bindparam("plain"))
    due = or_(c.last_used_at.is_(None), c.last_used_at <= now - USE_EVERY)
    used = update(api_keys).where(c.id == bindparam("of"), known, due).values(last_used_at=now, hash=bindparam("keyed"))
    uses = [{"of": _id_of(token), "keyed": _keyed(token, secret), "plain": _plain(token)} for token in tokens]
    return conn.execute(used, uses).rowcount if uses else 0


def revoke(conn: Connection, key_id: str, now: datetime) -> bool:
    """Ends a key for good; False if there is none of that id or it was revoked before."""
    ended = conn.execute(update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=now))
    return ended.rowcount == 1


def list_keys(conn: Connection) -> list[Key]:
    """Every key, oldest first, those that have ended too."""
    rows = conn.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
    return [
        Key(
            row.id,
            row.name,
            tuple(row.scopes),
            None if row.districts is None else tuple(row.districts),
            row.created_at,
            row.expires_at,
            row.last_used_at,
            row.revoked_at,
            row.replaced_by,
        )
        for row in rows
    ]


def _made(
    conn: Connection,
    name: str,
    scopes: Iterable[str],
    districts: Iterable[str] | None,
    now: datetime,
    secret: bytes,
    expires_at: datetime | None,
) -> tuple[str, str]:
    """Id and token of a new key."""
    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    token = f"{BEGINS}{key_id}_" + "".join(secrets.choice(_LETTERS) for _ in range(_SECRET_LENGTH))
    token += _checksum(token)
    row = {
        "id": key_id,
        "name": name,
        "hash": _keyed(token, secret),
        "scopes": list(scopes),
        "districts": None if districts is None else list(districts),
        "created_at": now,
        "expires_at": expires_at,
    }
    conn.execute(insert(api_keys).values(row))
    return key_id, token


def _id_of(token: str) -> str | None:
    """The public part of a key; None: it is mistyped or no key at all."""
    form = _FORM.fullmatch(token)
    return form[1] if form is not None and hmac.compare_digest(_checksum(token[:-_CHECK_LENGTH]), form[3]) else None


def _keyed(token: str, secret: bytes) -> str:
    return hmac.new(secret, token.encode(), hashlib.sha256).hexdigest()


def _plain(token: str) -> str:
    """As versions before the keyed hash stored it."""
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(text: str) -> str:
    number, letters = zlib.crc32(text.encode()), []
    for _ in range(_CHECK_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(reversed(letters))
