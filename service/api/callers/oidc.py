"""Tokens of an identity provider (OpenID Connect) beside keys: who bears one that is signed, in time and meant for this service may ask.

The provider's public keys come from its JWKS address. They are kept for an hour; a token that names a key we do not know makes us look again,
so that a provider can change its keys at any moment, but not more often than twice a minute, so that nobody can make us ask all the time.
While the provider does not answer, the keys that we have go on being used.
"""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import httpx
import jwt

from service.api.errors import NotValid, Problem
from service.settings import Settings
from service.store.keys import SCOPES, Caller

# Signatures that a public key verifies. With a shared secret, or none, whoever may verify could also sign.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
LEEWAY = 60.0  # seconds that our clock and the provider's may differ
KEEP_KEYS = 3600.0  # seconds
LOOK_AGAIN = 30.0  # seconds between two looks for a key that we do not know, or after one that failed
TIMEOUT = 3.0  # seconds that the provider has to answer: a request waits for it
LONGEST = 8192  # letters of a token
WHOLE_CITY = "ALL"  # in the claim of districts

log = logging.getLogger(__name__)


@dataclass
class Issuer:
    """The identity provider of an installation."""

    settings: Settings
    _keys: Mapping[str, jwt.PyJWK] = field(default_factory=dict)
    _read_at: float = -KEEP_KEYS
    _asked_at: float = -KEEP_KEYS
    _one_asks: threading.Lock = field(default_factory=threading.Lock)

    def caller(self, token: str) -> Caller:
        """Who bears a token.

        Raises:
            NotValid: it is none, or not signed by this issuer, not for this service, or not valid now.
            Problem: 503, the provider's keys were never read and it does not answer.
        """
        try:
            head = jwt.get_unverified_header(token) if len(token) <= LONGEST else {}
            if head.get("alg") not in ALGORITHMS:
                raise NotValid("the token is not signed as it has to be")
            claims = jwt.decode(
                token,
                self._key(str(head.get("kid", ""))),
                algorithms=ALGORITHMS,
                audience=self.settings.oidc_audience,
                issuer=self.settings.oidc_issuer,
                leeway=LEEWAY,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise NotValid("the token has expired") from None
        except jwt.InvalidAudienceError:
            raise NotValid("the token is for another audience") from None
        except jwt.InvalidIssuerError:
            raise NotValid("the token comes from another issuer") from None
        except jwt.PyJWTError:
            raise NotValid("the token is not valid") from None
        return self._caller_of(claims)

    def _caller_of(self, claims: Mapping[str, Any]) -> Caller:
        settings = self.settings
        named = _words(claims.get(settings.oidc_scope_claim))
        scopes = {scope for name in named for scope in settings.oidc_scopes.get(name, (name,)) if scope in SCOPES}
        districts = None
        if settings.oidc_districts_claim:  # who has no such claim sees nothing: a forgotten one must not open the city
            limit = frozenset(_words(claims.get(settings.oidc_districts_claim)))
            districts = None if WHOLE_CITY in limit else limit
        name = "".join(letter for letter in str(claims.get("preferred_username") or claims["sub"]) if letter.isprintable())
        return Caller(f"oidc {claims['sub']}"[:200], name[:80] or "oidc", frozenset(scopes), districts)

    def _key(self, key_id: str) -> jwt.PyJWK:
        """The provider's key of this id. Raises NotValid: it has none such; Problem 503: it was never heard."""
        if self._due(key_id):
            with self._one_asks:
                if self._due(key_id):  # nobody has asked while we waited
                    self._look()
        if not self._keys:
            mend = "try again soon; keys of this service work meanwhile"
            raise Problem(503, "the identity provider does not answer", where="Authorization", mend=mend, headers={"Retry-After": "30"})
        found = self._keys.get(key_id)
        if found is None:
            raise NotValid("the token is signed with a key that its issuer does not name")
        return found

    def _due(self, key_id: str) -> bool:
        now = monotonic()
        return (key_id not in self._keys or now - self._read_at >= KEEP_KEYS) and now - self._asked_at >= LOOK_AGAIN

    def _look(self) -> None:
        """Reads the keys anew; keeps those that there are if that fails."""
        self._asked_at = monotonic()
        try:
            with httpx.Client(timeout=TIMEOUT) as http:
                address = self.settings.oidc_jwks_url
                if not address:
                    found = http.get(f"{self.settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration").raise_for_status()
                    address = found.json()["jwks_uri"]
                told = http.get(address).raise_for_status().json()["keys"]
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            log.warning("oidc.no_answer", extra={"issuer": self.settings.oidc_issuer, "error": f"{type(error).__name__}: {error}"})
            return
        self._keys = {str(one.get("kid", "")): key for one in told if isinstance(one, dict) and (key := _signing_key(one)) is not None}
        self._read_at = self._asked_at
        log.info("oidc.keys", extra={"issuer": self.settings.oidc_issuer, "keys": len(self._keys)})


def _signing_key(told: dict[str, Any]) -> jwt.PyJWK | None:
    """A key of a JWKS; None if it is not for signatures, or of a kind that we do not take."""
    if told.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(told)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if key.algorithm_name in ALGORITHMS else None


def _words(claim: Any) -> list[str]:
    """The words of a claim: a list, or a text with blanks between them as in `scope`; without the claim, none."""
    if isinstance(claim, str):
        return claim.split()
    return [one for one in claim if isinstance(one, str)] if isinstance(claim, list) else []
