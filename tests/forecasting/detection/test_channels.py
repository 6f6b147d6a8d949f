"""Tickets that come another way than before are noted with their channels, and no ordinary up and down is."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from forecasting import city
from forecasting.city.faults import CHANNEL_SHIFT
from forecasting.detection import channels
from forecasting.detection.explain import Labels
from forecasting.detection.finding import DATA
from forecasting.errors import InputError

DAY = date(2025, 7, 30)


def table(since: int, moved: float, seed: int = 0, tickets: int = 1200, days: int = 40) -> pd.DataFrame:
    """Days whose mix scatters by weekday and chance; in the last `since` of them the app takes a share from the phone."""
    rng = np.random.default_rng(seed)
    rows = []
    for k in range(days):
        day = DAY - timedelta(days=days - 1 - k)
        weekend = 0.03 * (day.weekday() >= 5)
        app = 0.10 + weekend + rng.normal(0, 0.006) + moved * (k >= days - since)
        for name, count in zip(("app", "phone", "web"), rng.multinomial(rng.poisson(tickets), (app, 0.95 - app, 0.05)), strict=True):
            rows.append((day, name, count))
    return pd.DataFrame(rows, columns=["date", "channel", "count"])


@pytest.mark.parametrize("since", [6, 10, 20])
def test_a_mix_that_has_moved_is_told_with_its_onset_and_shares(since: int) -> None:
    shift = channels.moved(DAY, table(since, 0.10))
    assert shift is not None
    assert abs((shift.onset - (DAY - timedelta(days=since - 1))).days) <= 1
    assert set(shift.shares) == {"app", "phone"}
    before, after = shift.shares["app"]
    assert after - before == pytest.approx(0.10, abs=0.02)


def test_chance_and_weekends_move_nothing() -> None:
    found = [channels.moved(DAY - timedelta(days=back), table(0, 0.0, seed, tickets=150, days=68)) for seed in range(10) for back in range(0, 40, 10)]
    assert [shift for shift in found if shift is not None] == []


def test_the_days_after_are_not_known() -> None:
    counts = table(10, 0.10)
    assert channels.moved(DAY - timedelta(days=10), counts) is None
    early = DAY - timedelta(days=3)
    assert channels.moved(early, counts) == channels.moved(early, counts[counts["date"] <= early])


def test_few_days_and_a_single_channel_tell_nothing() -> None:
    counts = table(5, 0.2)
    assert channels.moved(DAY, counts[counts["date"] > DAY - timedelta(days=8)]) is None
    assert channels.moved(DAY, counts[counts["channel"] == "app"]) is None
    assert channels.moved(DAY, counts.iloc[:0]) is None


def test_the_simulated_city_s_shift_is_noted_and_its_months_before_are_not() -> None:
    tickets = city.simulate(1, 0.03, date(2025, 6, 1), date(2025, 7, 31)).tickets
    rows = tickets.assign(date=tickets["created_at"].dt.normalize(), count=1).groupby(["date", "channel"], as_index=False)["count"].sum()
    note = channels.note(CHANNEL_SHIFT + timedelta(days=9), rows, Labels({("channel", "app"): "手机应用"}))
    assert note is not None
    assert (note.kind, note.level, abs((note.onset - CHANNEL_SHIFT).days) <= 1) == (DATA, "blue", True)
    for text in (note.reason_zh, note.reason_en):
        assert f"{note.onset:%Y-%m-%d}" in text
        assert "phone" in text
    assert "手机应用" in note.reason_zh
    assert all(channels.note(CHANNEL_SHIFT - timedelta(days=back), rows, Labels()) is None for back in range(1, 25, 3))


@pytest.mark.parametrize("spoilt", [
    table(5, 0.1).drop(columns="channel"),
    table(5, 0.1).assign(count=-1),
])  # fmt: skip
def test_a_table_that_is_none_is_refused(spoilt: pd.DataFrame) -> None:
    with pytest.raises(InputError, match="channels"):
        channels.moved(DAY, spoilt)
