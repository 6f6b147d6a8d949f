"""How many alerts are told: small events beyond the ration wait, the most probable first."""

from dataclasses import replace
from datetime import date, timedelta
from math import inf

import numpy as np
import pytest

from forecasting.detection import events, ration
from forecasting.detection.events import Assigned
from forecasting.detection.finding import EMERGING, FIRST_SEEN, SPIKE, Finding, Part
from forecasting.hierarchy import ALL, Tree

DAY = date(2025, 6, 1)


def begun(p_value: float = 1e-5, level: str = "blue", districts: int = 1, kind: str = SPIKE, taken: tuple[int, ...] = ()) -> Assigned:
    parts = tuple(Part(f"d{k}", 40, 20) for k in range(districts))
    finding = Finding(kind, level, "d0", "HEAT", parts, DAY, DAY, DAY, 40.0, 20.0, 12.0, 29.0, 40.0, 20.0, p_value)
    return Assigned(finding, (), taken)


def goes_on() -> Assigned:
    return Assigned(begun().finding, (0,))


def test_beyond_the_ration_the_most_probable_wait() -> None:
    found = [begun(1e-4), begun(1e-7), begun(1e-3), begun(1e-5)]
    assert ration.told(found, 2.5) == [found[1], found[3]]
    assert ration.told(found, inf) == found
    assert ration.told(found, 0.9) == []


@pytest.mark.parametrize(
    "never", [begun(level="yellow"), begun(level="red"), begun(districts=3), begun(kind=FIRST_SEEN), begun(taken=(1,)), goes_on()]
)
def test_what_is_large_broad_new_or_goes_on_never_waits(never: Assigned) -> None:
    assert ration.told([begun(), never], 0.0) == [never]


def test_what_is_new_does_not_wait_with_the_small_event_that_it_is_part_of() -> None:
    whole = replace(begun().finding, area=ALL)
    new = begun(kind=FIRST_SEEN).finding
    (one,) = found = events.assign([new, whole], [], Tree.flat(["d0"]), Tree.flat(["HEAT"]))
    assert (one.finding.kind, one.running) == (SPIKE, ())
    assert ration.told(found, 0.0) == found
    assert ration.told(events.assign([whole], [], Tree.flat(["d0"]), Tree.flat(["HEAT"])), 0.0) == []


def test_what_never_waits_is_told_in_the_place_of_small_ones() -> None:
    small, large = begun(1e-9, kind=EMERGING), begun(1e-2, level="orange")
    assert ration.told([small, large], 1.0) == [large]
    assert ration.told([small, goes_on(), large], 2.0) == [small, goes_on(), large], "what goes on takes nobody's place"


def test_quiet_days_leave_their_ration_for_a_few_days() -> None:
    most = ration.SPARED_DAYS * 1.5
    assert ration.left([], DAY, 1.5) == most
    assert ration.left([DAY] * 2, DAY, 1.5) == most - 2
    assert ration.left([DAY - timedelta(days=1)] * 9, DAY, 1.5) == 1.5, "yesterday's flood does not make a day silent"
    assert ration.left([DAY - timedelta(days=1)] * 9 + [DAY], DAY, 1.5) == 0.5
    assert ration.left([DAY - timedelta(days=60)] * 9, DAY, 1.5) == most
    assert ration.left([], DAY, 0.05) == 1.0
    assert ration.left([DAY - timedelta(days=10)], DAY, 0.05) == pytest.approx(0.5), "one in twenty days"
    assert ration.told([begun()], ration.left([DAY - timedelta(days=10)], DAY, 0.1)) == [begun()], "one in ten days"
    assert ration.left([], DAY, 0.001) == 1.0
    assert ration.left([], DAY, 1e-9) < 1.0


@pytest.mark.parametrize("many", [0.5, 1.0, 1.5, 5.0])
def test_in_the_long_run_no_more_small_ones_are_told_than_the_budget_says_and_what_chance_brings_hardly_waits(many: float) -> None:
    rng = np.random.default_rng(0)
    told: list[date] = []
    came = 0
    for k in range(400):
        day = DAY + timedelta(days=k)
        for n in rng.poisson(many / 4, 4):  # looks of a day
            told += [day] * len(ration.told([begun()] * n, ration.left(told, day, 1.5)))
            came += n
    assert len(told) <= 400 * 1.5 + ration.SPARED_DAYS * 1.5
    assert len(told) >= (0.95 if many <= 1 else 0.85) * min(came, 400 * 1.5)
