"""Drift of a mix: by hand, and by what chance makes."""

from datetime import date

import numpy as np
import pytest

from forecasting import drift


def test_the_index_is_what_a_calculator_says() -> None:
    found = drift.drift({"A": 500, "B": 300, "C": 200}, {"A": 40, "B": 30, "C": 30})
    assert found is not None
    # (.4 - .5) ln(.4 / .5) + 0 + (.3 - .2) ln(.3 / .2) = .0223144 + .0405465
    assert found.psi == pytest.approx(0.0628609, abs=1e-6)
    assert found.chance == pytest.approx(2 * (1 / 1000 + 1 / 100))
    assert [part.code for part in found.parts] == ["C", "A", "B"]
    assert (found.parts[0].before, found.parts[0].last, found.tickets) == (0.2, 0.3, 100)


def test_the_same_mix_does_not_move_however_much_more_comes() -> None:
    found = drift.drift({"A": 50, "B": 30}, {"A": 5000, "B": 3000})
    assert found is not None
    assert found.psi == pytest.approx(0.0)
    assert found.state == "stable"


def test_a_part_that_is_new_or_gone_moves_it_and_few_of_them_stay_finite() -> None:
    found = drift.drift({"phone": 4000}, {"phone": 500, "app": 500})
    assert found is not None
    assert found.state == "much"
    assert found.parts[0].code == "app"
    assert drift.drift({}, {"A": 3}) is None
    assert drift.drift({"A": 3}, {}) is None


def test_without_any_change_the_index_is_on_average_what_chance_is_said_to_make() -> None:
    rng = np.random.default_rng(3)
    share = np.array([0.3, 0.25, 0.2, 0.15, 0.1])
    found = [
        drift.drift(*(dict(zip("ABCDE", rng.multinomial(n, share).tolist(), strict=True)) for n in (2000, 500)))  # type: ignore[misc]
        for _ in range(2000)
    ]
    psi = np.array([one.psi for one in found if one])
    assert psi.mean() == pytest.approx(4 * (1 / 2000 + 1 / 500), rel=0.05)
    assert {one.state for one in found if one} == {"stable"}


def test_both_windows_hold_every_weekday_as_often() -> None:
    before, last = drift.windows(date(2025, 11, 8))
    assert last == (date(2025, 11, 2), date(2025, 11, 8))
    assert before == (date(2025, 10, 5), date(2025, 11, 1))
