"""One attempt at a real receiver: to the address that was checked, under the name's certificate, within a limit of time."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from webhook_receiver import Receiver, receiving

from service.alerting import post
from service.alerting.post import Post
from service.alerting.receivers import Receivers


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of `alarm.example`, signed by itself, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "alarm.example")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("alarm.example")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "alarm.pem"
    plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, *plain) + made.public_bytes(serialization.Encoding.PEM))
    return path


def trusting(certificate: Path | None = None, private: bool = True) -> Post:
    context = ssl.create_default_context(cafile=certificate)
    return Post(Receivers(private=private), context)


def names(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Lets every name stand for addresses that change from question to question, the last of them for good; the questions."""
    asked: list[str] = []
    real = socket.getaddrinfo

    def found(host: Any, port: Any, *more: Any, **options: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, port, *more, **options)
        asked.append(host)
        addresses = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    return asked


def test_a_message_arrives_as_it_is_and_the_answer_is_kept(receiver: Receiver) -> None:
    receiver.answers = lambda _: (202, {}, "收到\x07 ".encode() + b"x" * 1000)
    outcome = trusting().send(receiver.url, {"webhook-id": "msg_1"}, '{"海淀": 1}')
    (came,) = receiver.came
    assert (came.path, came.body, came.message_id) == ("/hook", '{"海淀": 1}', "msg_1")
    assert (came.headers["host"], came.headers["content-type"]) == (receiver.url.split("/")[2], "application/json")
    assert (outcome.http_status, outcome.error) == (202, None)
    assert outcome.answer.startswith("收到  x")
    assert len(outcome.answer) == post.ANSWER
    assert 0 <= outcome.milliseconds < 10_000


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(receiver: Receiver, status: int) -> None:
    with receiving() as other:
        receiver.answers = lambda _: (status, {"Location": other.url}, b"")
        outcome = trusting().send(receiver.url, {}, "{}")
        assert (outcome.http_status, outcome.error) == (status, f"answered {status}")
        assert (len(receiver.came), len(other.came)) == (1, 0)


@pytest.mark.parametrize(("told", "seconds"), [("120", 120), ("-5", None), ("soon", None), ("", None), ("²", None)])
def test_the_receiver_s_wish_to_be_left_alone_is_read(receiver: Receiver, told: str, seconds: int | None) -> None:
    receiver.answers = lambda _: (503, {"Retry-After": told.encode().decode("latin-1")}, b"")
    wait = trusting().send(receiver.url, {}, "{}").wait
    assert (None if wait is None else wait.total_seconds()) == seconds


def test_that_wish_may_be_a_date(receiver: Receiver) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=1)
    receiver.answers = lambda _: (503, {"Retry-After": then.strftime("%a, %d %b %Y %H:%M:%S GMT")}, b"")
    wait = trusting().send(receiver.url, {}, "{}").wait
    assert wait is not None
    assert 3590 < wait.total_seconds() <= 3600


def test_a_receiver_that_does_not_answer_is_left_after_the_limit(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "LIMIT", 0.3)
    done = threading.Event()
    receiver.answers = lambda _: (200 if done.wait(10) else 500, {}, b"")
    start = time.monotonic()
    outcome = trusting().send(receiver.url, {}, "{}")
    assert time.monotonic() - start < 2
    assert outcome.http_status is None
    assert outcome.error is not None
    assert outcome.error.startswith("no answer within")
    done.set()


@pytest.mark.parametrize("said", [b"HTTP/1.1 200 OK\r\nX-Slow: ", b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"])
def test_a_receiver_that_answers_a_letter_at_a_time_is_left_too(said: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(post, "LIMIT", 0.6)
    monkeypatch.setattr(post, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            conn, _ = listening.accept()
            with conn:
                conn.recv(65536)
                try:
                    conn.sendall(said)
                    for _ in range(100):
                        conn.sendall(b"a")
                        time.sleep(0.05)
                except OSError:
                    pass

        thread = threading.Thread(target=drip)
        thread.start()
        start = time.monotonic()
        outcome = trusting().send(f"http://127.0.0.1:{listening.getsockname()[1]}/", {}, "{}")
        assert time.monotonic() - start < 2
        thread.join()
    if said.endswith(b"\r\n\r\n"):  # the status was there
        assert (outcome.http_status, outcome.error) == (200, None)
        assert set(outcome.answer) <= {"a"}
    else:
        assert outcome.error is not None


def test_nobody_at_the_address_is_a_failure_that_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    outcome = trusting().send(f"http://127.0.0.1:{port}/", {}, "{}")
    assert outcome.http_status is None
    assert outcome.error is not None
    assert "ConnectError" in outcome.error


def test_nothing_is_sent_to_this_machine_unless_that_is_allowed(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    port = receiver.url.split(":")[2]
    names(monkeypatch, ["127.0.0.1"])
    for host in ("127.0.0.1", "alarm.example", "localhost", "2130706433"):
        outcome = trusting(private=False).send(f"http://{host}:{port}", {}, "{}")
        assert outcome.http_status is None
        assert outcome.error is not None
        assert "no public address" in outcome.error
    assert receiver.came == []


def test_a_name_is_asked_once_so_that_it_cannot_change_between_check_and_connection(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, ["203.0.113.7"], ["127.0.0.1"])
    monkeypatch.setattr(post, "CONNECT", 0.2)
    allowing = Post(Receivers.of(False, ["203.0.113.0/24"]), ssl.create_default_context())
    outcome = allowing.send(f"http://alarm.example:{receiver.url.split(':')[2]}", {}, "{}")
    assert outcome.http_status is None
    assert asked == ["alarm.example"]
    assert receiver.came == [], "the second answer of the name server leads here"


def test_of_several_addresses_the_next_is_tried(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, ["127.0.0.2", "127.0.0.1"])
    outcome = trusting().send(f"http://alarm.example:{receiver.url.split(':')[2]}", {}, "{}")
    assert outcome.http_status == 204
    assert receiver.came[0].headers["host"].startswith("alarm.example:")


def test_the_certificate_must_be_the_name_s_although_the_connection_goes_to_the_address(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    asked_for: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: asked_for.append(name)
    names(monkeypatch, ["127.0.0.1"])
    with receiving(context) as receiver:
        port = receiver.url.split(":")[2]
        assert trusting(certificate).send(f"https://alarm.example:{port}", {}, "{}").http_status == 204
        assert asked_for == ["alarm.example"]
        for url in (f"https://other.example:{port}", f"https://127.0.0.1:{port}"):
            outcome = trusting(certificate).send(url, {}, "{}")
            assert outcome.error is not None
            assert "CERTIFICATE_VERIFY_FAILED" in outcome.error
        assert "CERTIFICATE_VERIFY_FAILED" in (trusting().send(f"https://alarm.example:{port}", {}, "{}").error or "")
        assert len(receiver.came) == 1


def test_a_proxy_of_the_environment_is_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("ALL_PROXY", proxy.url)
        assert trusting().send(receiver.url, {}, "{}").http_status == 204
        assert (len(receiver.came), len(proxy.came)) == (1, 0)
