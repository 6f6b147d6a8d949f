"""Moving windows of a minute."""

import random

import pytest

from service.api.windows import SECONDS, Windows


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    moment = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: moment[0])
    return moment


def test_what_is_let_is_what_a_list_of_all_moments_says(now: list[float]) -> None:
    rng, windows, had = random.Random(0), Windows(5), {who: [] for who in "abc"}  # type: dict[str, list[float]]
    for _ in range(3000):
        now[0] += rng.expovariate(0.2)
        who, cost = rng.choice("abc"), rng.choice((1, 1, 1, 3))
        recent = [moment for moment in had[who] if moment >= now[0] - SECONDS]
        let = len(recent) + cost <= 5
        recent += [now[0]] * cost * let
        assert windows.has_room(who, cost) == let
        assert windows.take(who, cost) == (let, 5 - len(recent), pytest.approx(recent[0] + SECONDS - now[0] if recent else 0.0))
        had[who] = recent


def test_who_stays_away_is_forgotten(now: list[float]) -> None:
    windows = Windows(5)
    for number in range(1000):
        windows.take(f"{number}")
    now[0] += SECONDS + 1
    windows.take("another")
    assert len(windows) == 1


def test_who_is_refused_from_the_start_is_not_remembered() -> None:
    windows = Windows(1)
    assert windows.take("one", 2) == (False, 1, 0.0)
    assert len(windows) == 0
