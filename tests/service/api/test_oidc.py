"""Tokens of an identity provider: a real one, over HTTP, with real keys; and everything that must not open the door."""

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
import pytest
from api_city import NOW, City
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.api.callers import oidc
from service.store import webhooks
from service.store.engine import writing

AUDIENCE = "weisu"
Private = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

RSA, OTHER_RSA = (rsa.generate_private_key(65537, 2048) for _ in range(2))
CURVE, EDWARDS = ec.generate_private_key(ec.SECP256R1()), ed25519.Ed25519PrivateKey.generate()
KINDS: dict[str, tuple[Private, Any]] = {
    "RS256": (RSA, jwt.algorithms.RSAAlgorithm),
    "ES256": (CURVE, jwt.algorithms.ECAlgorithm),
    "EdDSA": (EDWARDS, jwt.algorithms.OKPAlgorithm),
}


@dataclass
class Provider:
    """An identity provider that publishes its keys."""

    server: ThreadingHTTPServer
    keys: dict[str, tuple[str, Private]] = field(default_factory=lambda: {"first": ("RS256", RSA)})
    asked: list[str] = field(default_factory=list)
    answers: bool = True

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/realm"

    def published(self) -> dict[str, Any]:
        jwks = [
            json.loads(KINDS[kind][1].to_jwk(key.public_key())) | {"kid": key_id, "use": "sig", "alg": kind}
            for key_id, (kind, key) in self.keys.items()
        ]
        return {"keys": [*jwks, {"kid": "odd", "kty": "oct", "k": "c2VjcmV0"}, {"kid": "broken"}, "no key"]}

    def token(self, key_id: str = "first", head: dict[str, Any] | None = None, **claims: Any) -> str:
        now = int(time.time())
        told = {"iss": self.issuer, "aud": AUDIENCE, "sub": "u1", "iat": now, "exp": now + 300, "scope": "openid alerts:read"} | claims
        kind, key = self.keys.get(key_id, ("RS256", OTHER_RSA))
        return jwt.encode({name: value for name, value in told.items() if value is not None}, key, kind, {"kid": key_id} | (head or {}))


@pytest.fixture
def provider() -> Iterator[Provider]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path)
            if not made.answers:
                self.send_error(500)
                return
            paths = {"/realm/.well-known/openid-configuration": {"jwks_uri": f"{made.issuer}/keys"}, "/realm/keys": made.published()}
            body = json.dumps(paths[self.path]).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made = Provider(server)
    thread = threading.Thread(target=server.serve_forever, args=[0.01])
    thread.start()
    yield made
    server.shutdown()
    thread.join()
    server.server_close()


Serve = Callable[..., TestClient]


@pytest.fixture
def serve(city: City, provider: Provider) -> Iterator[Serve]:
    """The API that trusts the provider."""
    with ExitStack() as stack:

        def start(**changes: Any) -> TestClient:
            settings = city.settings.model_copy(update={"oidc_issuer": provider.issuer, "oidc_audience": AUDIENCE} | changes)
            return stack.enter_context(TestClient(create_app(settings)))

        yield start


def ask(client: TestClient, token: str, path: str = "/v1/alerts") -> int:
    answer = client.get(path, headers={"Authorization": f"Bearer {token}"})
    if answer.status_code >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code


def test_a_token_opens_what_its_scopes_say_and_keys_work_beside_it(city: City, provider: Provider, serve: Serve) -> None:
    client = serve()
    assert [ask(client, provider.token(), path) for path in ("/v1/alerts", "/v1/status", "/v1/forecasts")] == [200, 200, 403]
    assert ask(client, city.key()) == 200


@pytest.mark.parametrize("kind", KINDS)
def test_signatures_of_every_usual_kind_are_taken(provider: Provider, serve: Serve, kind: str) -> None:
    provider.keys = {"k": (kind, KINDS[kind][0])}
    assert ask(serve(), provider.token("k")) == 200


def test_what_is_signed_wrongly_late_or_for_others_opens_nothing(provider: Provider, serve: Serve) -> None:
    client, now = serve(), int(time.time())
    head, claims, signature = provider.token().split(".")
    right = jwt.decode(provider.token(), options={"verify_signature": False})
    public = RSA.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    confused = part({"alg": "HS256", "typ": "JWT", "kid": "first"}) + "." + claims
    wrong = {
        "unsigned": f"{part({'alg': 'none', 'kid': 'first'})}.{claims}.",
        "signature cut off": f"{head}.{claims}.",
        "other claims": f"{head}.{part(right | {'scope': 'admin'})}.{signature}",
        "the public key as a shared secret": f"{confused}.{b64(hmac.digest(public, confused.encode(), 'sha256'))}",
        "another's key under a known id": jwt.encode(right, OTHER_RSA, "RS256", {"kid": "first"}),
        "an algorithm that is not the key's": jwt.encode(right, RSA, "RS512", {"kid": "first"}),
        "a shared secret that the provider names": jwt.encode({"sub": "x"}, b"secret" * 6, "HS256", {"kid": "odd"}),
        "expired": provider.token(exp=now - 61),
        "not yet valid": provider.token(nbf=now + 120),
        "made later": provider.token(iat=now + 120),
        "for another audience": provider.token(aud="another"),
        "for nobody": provider.token(aud=None),
        "from another issuer": provider.token(iss="https://evil.example"),
        "from nobody": provider.token(iss=None),
        "without an end": provider.token(exp=None),
        "about nobody": provider.token(sub=None),
        "a key that is not named": provider.token("second"),
        "no key named": jwt.encode(right, RSA, "RS256"),
        "no token": "a.b.c",
        "a word": "hello",
        "much too long": provider.token(sub="x" * 10_000),
    }
    assert {name: ask(client, token) for name, token in wrong.items()} == dict.fromkeys(wrong, 401)
    assert ask(client, provider.token()) == 200


def test_scopes_and_districts_come_from_the_claims_that_the_settings_name(provider: Provider, serve: Serve) -> None:
    client = serve(oidc_scope_claim="groups", oidc_scopes={"值班": ("alerts:write", "nothing")}, oidc_districts_claim="districts")
    duty = provider.token(groups=["值班", "others", 7], districts=["110108"], scope="admin")
    assert [ask(client, duty, path) for path in ("/v1/alerts", "/v1/alerts?district=110108", "/v1/alerts?district=110105")] == [200, 200, 403]
    assert ask(client, duty, "/v1/forecasts") == 403, "another claim counts for nothing"
    assert ask(client, provider.token(groups="forecasts:read", districts="ALL"), "/v1/forecasts?area=ALL") == 200
    forgotten = client.get("/v1/districts", headers={"Authorization": f"Bearer {provider.token(groups='admin')}"})
    assert forgotten.json()["items"] == [], "without the claim a token sees nothing"


def test_whoever_acts_stands_in_the_history_by_name(city: City, provider: Provider, serve: Serve) -> None:
    city.alert("a")
    token = provider.token(scope="alerts:write", preferred_username="wang\nfang")
    answer = serve().post("/v1/alerts/a/ack", headers={"Authorization": f"Bearer {token}"})
    assert answer.json()["history"][-1]["actor"] == "wangfang"


def test_a_provider_changes_its_keys_without_a_gap(provider: Provider, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve()
    assert ask(client, provider.token()) == 200
    provider.keys["second"] = ("ES256", CURVE)
    assert ask(client, provider.token("second")) == 401, "it was asked a moment ago"
    later(monkeypatch, oidc.LOOK_AGAIN)
    assert ask(client, provider.token("second")) == 200
    old = provider.token("first")
    del provider.keys["first"]
    later(monkeypatch, 2 * oidc.KEEP_KEYS)
    assert ask(client, old) == 401


def test_nobody_makes_us_ask_the_provider_all_the_time(provider: Provider, serve: Serve) -> None:
    client = serve()
    for number in range(20):
        ask(client, provider.token(f"made up {number}"))
    assert len(provider.asked) == 2, "its configuration and its keys"


def test_a_provider_that_is_away_ends_nothing_that_works(provider: Provider, serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve()
    assert ask(client, provider.token()) == 200
    provider.answers = False
    later(monkeypatch, 2 * oidc.KEEP_KEYS)
    assert ask(client, provider.token()) == 200


def test_a_provider_that_was_never_heard_is_a_503_and_keys_work_on(city: City, provider: Provider, serve: Serve) -> None:
    provider.answers = False
    client = serve()
    assert ask(client, provider.token()) == 503
    assert ask(client, city.key()) == 200


def later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    passed = oidc.monotonic
    monkeypatch.setattr(oidc, "monotonic", lambda: passed() + seconds)


def part(told: dict[str, Any]) -> str:
    return b64(json.dumps(told).encode())


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_a_webhook_takes_a_key_with_which_it_ends(city: City, provider: Provider, serve: Serve) -> None:
    client, asked = serve(webhook_private=True), {"url": "https://alarm.example"}
    bearer = {name: {"Authorization": f"Bearer {token}"} for name, token in (("token", provider.token(scope="admin")), ("key", city.key()))}
    refused = client.post("/v1/webhooks", json=asked, headers=bearer["token"])
    assert (refused.status_code, refused.json()["where"]) == (403, "Authorization")
    assert "weisu keys create" in refused.json()["mend"]
    assert client.get("/v1/webhooks", headers=bearer["token"]).json()["items"] == []
    made = client.post("/v1/webhooks", json=asked, headers=bearer["key"]).json()["webhook_id"]
    with writing(city.engine) as conn:
        assert webhooks.disable(conn, made, "because", NOW)
    assert client.patch(f"/v1/webhooks/{made}", json={"level": "red"}, headers=bearer["token"]).json()["level"] == "red"
    assert client.post(f"/v1/webhooks/{made}/enable", headers=bearer["token"]).status_code == 403
    assert client.post(f"/v1/webhooks/{made}/enable", headers=bearer["key"]).json()["enabled"]
