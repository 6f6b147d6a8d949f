"""API keys: who may ask, what for, and for which districts.

A key reads `weisu_<id>_<secret><checksum>`. The id is public and finds the row; the checksum (CRC-32) tells a mistyped or cut-off key
from a revoked one without a query, and lets secret scanners recognise a leaked key.

Only a SHA-256 of the whole key is stored. A slow hash (scrypt, argon2) protects passwords because people choose them from a small
set; this secret is 32 random letters (190 bits), which no one can try out, so a slow hash would only make every request slow. Nor is
there a pepper: it would have to be kept, rotated and restored beside the database, and would guard nothing that 190 bits leave open.
"""

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from forecasting.errors import InputError
from service.store.schema import api_keys, areas

SCOPES = ("forecasts:read", "alerts:read", "alerts:write", "tickets:write", "admin")
_IMPLIED = {"alerts:write": ("alerts:read",), "admin": SCOPES}  # who may change an alert must see it

_LETTERS = string.digits + string.ascii_letters
_ID_LETTERS = string.digits + string.ascii_lowercase  # an id is read aloud on the telephone: no capitals
_ID_LENGTH, _SECRET_LENGTH, _CHECK_LENGTH = 10, 32, 6  # 62**6 holds every CRC-32
_FORM = re.compile(rf"weisu_([0-9a-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECK_LENGTH}}})", re.ASCII)


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
    """A key as a list shows it: everything but the secret."""

    id: str
    name: str
    scopes: tuple[str, ...]
    districts: tuple[str, ...] | None
    created_at: datetime
    revoked_at: datetime | None


def create(conn: Connection, name: str, scopes: Iterable[str], districts: Iterable[str] | None, now: datetime) -> str:
    """Makes a key and returns it; it is never shown again.

    Args:
        conn: a connection in a writing transaction.
        name: who it is for; 1 to 80 characters.
        scopes: one or more of SCOPES.
        districts: codes to limit it to, or None for the whole city.
        now: the present moment.

    Raises:
        InputError: no name, no or an unknown scope, an empty limit, or a district that is not in the area tree.
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

    key_id = "".join(secrets.choice(_ID_LETTERS) for _ in range(_ID_LENGTH))
    token = f"weisu_{key_id}_" + "".join(secrets.choice(_LETTERS) for _ in range(_SECRET_LENGTH))
    token += _checksum(token)
    conn.execute(insert(api_keys).values(id=key_id, name=name, hash=_digest(token), scopes=wanted, districts=limit, created_at=now, revoked_at=None))
    return token


def verify(conn: Connection, token: str) -> Caller | None:
    """The caller that a key stands for, or None if it is malformed, unknown or revoked."""
    form = _FORM.fullmatch(token)
    if form is None or not hmac.compare_digest(_checksum(token[:-_CHECK_LENGTH]), form[3]):
        return None
    row = conn.execute(select(api_keys).where(api_keys.c.id == form[1], api_keys.c.revoked_at.is_(None))).one_or_none()
    if row is None or not hmac.compare_digest(row.hash, _digest(token)):
        return None
    return Caller(row.id, row.name, frozenset(row.scopes), None if row.districts is None else frozenset(row.districts))


def usable(conn: Connection) -> frozenset[str]:
    """Ids of the keys that are not revoked."""
    return frozenset(conn.scalars(select(api_keys.c.id).where(api_keys.c.revoked_at.is_(None))))


def revoke(conn: Connection, key_id: str, now: datetime) -> bool:
    """Ends a key for good; False if there is none of that id or it was revoked before."""
    ended = conn.execute(update(api_keys).where(api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None)).values(revoked_at=now))
    return ended.rowcount == 1


def list_keys(conn: Connection) -> list[Key]:
    """Every key, oldest first, revoked ones too."""
    rows = conn.execute(select(api_keys).order_by(api_keys.c.created_at, api_keys.c.id))
    return [
        Key(
            row.id,
            row.name,
            tuple(row.scopes),
            None if row.districts is None else tuple(row.districts),
            row.created_at,
            row.revoked_at,
        )
        for row in rows
    ]


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _checksum(text: str) -> str:
    number, letters = zlib.crc32(text.encode()), []
    for _ in range(_CHECK_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "".join(reversed(letters))
