"""Where webhooks may go: the internet, and nothing near the service unless the installation says so."""

import socket
from ipaddress import ip_address
from typing import Any

import httpx
import pytest

from forecasting.errors import InputError
from service.alerting.receivers import Receivers, Refused, is_public

# Written down from the registries of special addresses (RFC 6890 and what has been added), not from the library that decides.
NOT_PUBLIC = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.100.100.200",
    "100.127.255.255",
    "127.0.0.1",
    "127.8.8.8",
    "169.254.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.0.192",
    "192.0.2.1",
    "192.168.1.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:100.64.0.1",
    "64:ff9b::a00:1",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:db8::1",
    "2002:a00:1::",
    "2002:7f00:1::",
    "3fff::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
]
PUBLIC = [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "100.63.255.255",
    "100.128.0.0",
    "172.15.0.1",
    "172.32.0.1",
    "2606:4700::1111",
    "2400:3200::1",
    "::ffff:8.8.8.8",
]


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_of_this_machine_or_a_network_of_somebody_s_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", PUBLIC)
def test_every_other_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_that_is_not_public_is_refused_when_it_is_written_and_when_it_is_found(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="no public address"):
        Receivers().check(f"http://{f'[{address}]' if ':' in address else address}:8080/")
    name_is(monkeypatch, "8.8.8.8", address)
    with pytest.raises(Refused, match="no public address"):
        Receivers().resolve(httpx.URL("https://alarm.example/"))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "alarm.example/hook",
        "//alarm.example/hook",
        "ftp://alarm.example/",
        "file:///etc/passwd",
        "mailto:a@alarm.example",
        "https:///hook",
        "https://alarm..example/",
        "https://al arm.example/",
        "https://alarm.example/a b",
        "https://alarm.example/\x00",
        "https://user:password@alarm.example/",
        "https://alarm.example/#part",
        "https://alarm.example:22/",
        "https://alarm.example:0/",
        "https://alarm.example:99999/",
        f"https://{'a' * 300}.example/",
        f"https://alarm.example/{'a' * 2000}",
        "http://0177.0.0.1:8080/",
        "http://localhost:8080/",
        "http://LOCALHOST./",
        "http://db.localhost/",
    ],
)
def test_what_is_no_address_of_a_receiver_is_bad_input(url: str) -> None:
    with pytest.raises(InputError) as caught:
        Receivers().check(url)
    assert caught.value.where == "url"


@pytest.mark.parametrize("url", ["https://alarm.example", "http://alarm.example:8080/a?b=c", "https://报警.example/钩", "https://[2606:4700::1111]/"])
def test_an_address_of_a_web_server_is_taken(url: str) -> None:
    assert Receivers().check(url).host


@pytest.mark.parametrize("written", ["0x7f.1", "2130706433", "127.1"])
def test_other_ways_to_write_an_address_end_at_the_same_check(written: str) -> None:
    with pytest.raises(Refused, match=r"127\.0\.0\.1 is no public address"):
        Receivers().resolve(Receivers().check(f"http://{written}:8080/"))


def name_is(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Lets every name stand for these addresses."""

    def found(host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", found)


def test_the_installation_may_allow_a_name_a_network_an_address_or_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    url = httpx.URL("http://alarm.city/hook")
    name_is(monkeypatch, "10.1.2.3")
    for allow in (["alarm.city"], ["ALARM.city."], ["10.1.0.0/16"], ["10.1.2.3"]):
        assert Receivers.of(False, allow).resolve(url) == ["10.1.2.3"], allow
    assert Receivers.of(True, []).resolve(url) == ["10.1.2.3"]
    for allow in (["other.city"], ["10.2.0.0/16"], ["10.1.2.4"], ["city"], []):
        with pytest.raises(Refused):
            Receivers.of(False, allow).resolve(url)


def test_an_allowed_network_allows_none_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    name_is(monkeypatch, "10.1.2.3", "127.0.0.1")
    with pytest.raises(Refused, match=r"127\.0\.0\.1"):
        Receivers.of(False, ["10.1.0.0/16"]).resolve(httpx.URL("http://alarm.city/hook"))


def test_a_name_that_nobody_knows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: Any, **__: Any) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(Refused, match="not known"):
        Receivers().resolve(httpx.URL("https://alarm.example/"))
