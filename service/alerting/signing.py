"""Secrets and signatures of webhooks, as Standard Webhooks says (https://www.standardwebhooks.com).

A secret must be readable to whoever signs, so that a digest, as of keys, will not do. It is stored encrypted, with a key that is derived from the
key of the callers' hashes and lies, like that one, in the data folder or in WEISU_HASH_KEY: a copy of the database alone signs nothing.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from cryptography.fernet import Fernet, InvalidToken
from standardwebhooks import Webhook

from forecasting.errors import InputError

PREFIX = "whsec_"
_BYTES = 32  # of a secret; the specification asks for 24 to 64
_PURPOSE = b"weisu: secrets of webhooks"


def new_secret() -> str:
    """A secret as its owner is shown it, once."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


class Seal:
    """Encrypts secrets for the store.

    Args:
        key: the key of the callers' hashes, of any length.
    """

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(base64.urlsafe_b64encode(hmac.digest(key, _PURPOSE, hashlib.sha256)))

    def close(self, secret: str) -> str:
        """A secret as it is stored."""
        return self._fernet.encrypt(secret.encode()).decode()

    def open(self, sealed: str) -> str:
        """The secret again. Raises InputError if it was sealed with another key."""
        try:
            return self._fernet.decrypt(sealed.encode()).decode()
        except InvalidToken:
            mend = "bring back that key (caller.key or WEISU_HASH_KEY), or give the webhook a new secret"
            raise InputError("the secret was stored with another key", "webhooks", mend) from None


def headers(message_id: str, signers: Sequence[str], body: str, now: datetime) -> dict[str, str]:
    """The three headers of a message.

    Args:
        message_id: the same in every attempt.
        signers: secrets; each of them signs.
        now: the moment of the attempt, in UTC.
    """
    signatures = [Webhook(secret).sign(message_id, now, body) for secret in signers]
    return {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": " ".join(signatures)}
