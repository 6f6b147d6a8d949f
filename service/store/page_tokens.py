"""One-time tokens that open the page on this machine: each is exchanged once, by whichever API worker is asked first."""

import hashlib
import secrets
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, insert

from service.store.schema import page_tokens

LIFETIME = timedelta(hours=1)  # the address stands in a terminal, perhaps in a log: long enough to be opened, no longer


def create(conn: Connection, now: datetime) -> str:
    """Makes a token and returns it; only its hash is stored. What nobody has exchanged in time is cleared away."""
    token = secrets.token_urlsafe(32)
    conn.execute(delete(page_tokens).where(page_tokens.c.expires_at <= now))
    conn.execute(insert(page_tokens).values(hash=_digest(token), expires_at=now + LIFETIME))
    return token


def redeem(conn: Connection, token: str, now: datetime) -> bool:
    """Takes a token; False if there is none such: unknown, too old, or taken before."""
    taken = conn.execute(delete(page_tokens).where(page_tokens.c.hash == _digest(token), page_tokens.c.expires_at > now))
    return taken.rowcount == 1


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
