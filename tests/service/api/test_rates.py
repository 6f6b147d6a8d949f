"""How often a key may ask, and an address fail."""

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from api_city import City
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.api.callers import rates
from service.api.callers.counters import Counters

Limited = Callable[..., TestClient]


@pytest.fixture
def limited(city: City) -> Iterator[Limited]:
    """The API with other limits."""
    with ExitStack() as stack:
        yield lambda **limits: stack.enter_context(TestClient(create_app(city.settings.model_copy(update=limits))))


def bearing(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def test_every_answer_says_what_is_left_and_the_one_too_many_when_to_go_on(city: City, limited: Limited) -> None:
    client, key = limited(requests_per_minute=3), city.key()
    answers = [client.get("/v1/status", headers=bearing(key)) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    assert [re.sub("t=.*", "", answer.headers["RateLimit"]) for answer in answers] == [
        '"key";r=2;',
        '"key";r=1;',
        '"key";r=0;',
        '"key";r=0;',
        '"key";r=0;',
    ]
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"key";q=3;w=60'}
    refused = answers[-1]
    assert refused.headers["content-type"] == "application/problem+json"
    assert 50 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["RateLimit"].endswith(f"t={refused.headers['Retry-After']}")


def test_an_answer_from_memory_counts_as_well(city: City, limited: Limited) -> None:
    client, key = limited(requests_per_minute=3), city.key()
    assert [client.get("/v1/forecasts", headers=bearing(key)).status_code for _ in range(5)] == [200, 200, 200, 429, 429]


def test_one_key_does_not_use_up_another_s_requests(city: City, limited: Limited) -> None:
    client, one, other = limited(requests_per_minute=1), city.key(), city.key()
    assert [client.get("/v1/status", headers=bearing(key)).status_code for key in (one, one, other)] == [200, 429, 200]


def test_a_refused_key_may_ask_for_what_needs_none(city: City, limited: Limited) -> None:
    client, key = limited(requests_per_minute=1), city.key()
    assert [client.get(path, headers=bearing(key)).status_code for path in ("/v1/status", "/v1/status", "/livez")] == [200, 429, 200]


def test_a_minute_after_the_first_request_all_begins_anew(city: City, limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    client, key = limited(requests_per_minute=2), city.key()
    statuses = []
    for seconds in (0, 30, 29.9, 0.2, 0.1, 30):  # at 0, 30, 59.9, 60.1, 60.2, 90.2
        now[0] += seconds
        statuses.append(client.get("/v1/status", headers=bearing(key)).status_code)
    assert statuses == [200, 200, 429, 200, 200, 429]


def test_a_clock_that_is_set_back_locks_nobody_out(city: City, limited: Limited, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: now[0])
    client, key = limited(requests_per_minute=2), city.key()
    assert [client.get("/v1/status", headers=bearing(key)).status_code for _ in range(3)] == [200, 200, 429]
    now[0] -= 3600
    assert [client.get("/v1/status", headers=bearing(key)).status_code for _ in range(3)] == [200, 200, 429]


def test_a_file_counts_as_many_requests(city: City, limited: Limited) -> None:
    client, key = limited(requests_per_minute=2 * rates.FILE_COST), city.key()
    assert client.get("/v1/forecasts", params={"format": "csv"}, headers=bearing(key)).headers["RateLimit"].startswith(f'"key";r={rates.FILE_COST};')
    assert client.get("/v1/status", headers=bearing(key)).status_code == 200
    assert client.get("/v1/forecasts", params={"format": "csv"}, headers=bearing(key)).status_code == 429
    assert client.get("/v1/status", headers=bearing(key)).status_code == 200


def test_an_address_that_fails_too_often_is_told_so_and_valid_keys_from_it_work_on(city: City, limited: Limited) -> None:
    client = limited(failures_per_minute=2)
    statuses = [client.get("/v1/status", headers=bearing("weisu_x")).status_code for _ in range(4)]
    assert statuses == [401, 401, 429, 429]
    answer = client.get("/v1/status")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert client.get("/v1/status", headers=bearing(city.key())).status_code == 200, "centres behind one proxy have one address"


def test_what_is_remembered_of_failing_addresses_has_an_end() -> None:
    """Each failure costs memory; those of all addresses together are bounded."""
    windows, most = rates.Rates(requests=10, failures=5), 5 * rates.ALL_ADDRESSES
    for number in range(most):
        windows.failed(asking_from(f"10.0.{number}.1"))
    for number in range(most, 4 * most):
        with pytest.raises(rates.Problem, match="too many"):
            windows.failed(asking_from(f"10.0.{number}.1"))
    remembered = windows._windows.storage
    assert isinstance(remembered, Counters)
    assert most < len(remembered) <= most + 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:10.0.0.1", "::ffff:10.0.0.2", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("10.0.0.1", "10.0.0.1", True),
    ],
)
def test_addresses_of_one_household_are_one(one: str, other: str, same: bool) -> None:
    assert (rates._network(asking_from(one)) == rates._network(asking_from(other))) == same


def asking_from(host: str) -> rates.Request:
    return rates.Request({"type": "http", "client": (host, 1), "headers": []})
