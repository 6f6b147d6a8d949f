"""Reporting delay from the journal, and until when counts are complete by it."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pandas as pd
import pytest
from sqlalchemy import Connection, Engine

from forecasting.delay import MOST, Delay
from forecasting.hierarchy import ALL
from service.clock import Clock
from service.store import bulk, counts, delays, ingests
from service.store.delays import DAYS
from service.store.engine import reading, writing
from service.store.schema import count_changes

ZONE = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(ZONE, datetime(2025, 6, 1, 4, tzinfo=UTC))  # noon; the last finished day is 31 May
LAST = date(2025, 5, 31)
FOLLOWED = LAST - timedelta(days=MOST)


def put(conn: Connection, day: date, lateness: dict[timedelta, int], category: str = "X") -> None:
    """So many tickets of a day (made at 9:30), received so much later."""
    hour = datetime(day.year, day.month, day.day, 9, tzinfo=ZONE).astimezone(UTC)
    late = [lag for lag, number in lateness.items() for _ in range(number)]
    frame = pd.DataFrame(
        {
            "area": "D1",
            "category": category,
            "day": pd.Series([pd.Timestamp(day)] * len(late), dtype=bulk.DAY),
            "hour": pd.Series([hour] * len(late), dtype=bulk.UTC_MOMENT),
            "delta": 1,
            "received_at": pd.Series([hour + timedelta(minutes=30) + lag for lag in late], dtype=bulk.UTC_MOMENT),
        }
    )
    before = counts.last_change(conn)
    ingest = ingests.begin(conn, "tickets", "tickets.csv", CLOCK.now())
    bulk.insert(conn, count_changes, frame.assign(ingest_id=ingest))
    counts.add_up(conn, ingest, before)


def refresh(conn: Connection) -> dict[str, Delay]:
    """Estimates and stores the curves, as every night does."""
    curves = delays.estimate(conn, CLOCK)
    delays.put(conn, curves, CLOCK)
    return curves


def days(number: float) -> timedelta:
    return timedelta(days=number)


def test_a_steady_delay_is_found_and_the_days_behind_it_are_not_complete(engine: Engine) -> None:
    with writing(engine) as conn:
        for back in range(20):
            put(conn, FOLLOWED - timedelta(days=back), {days(0): 14, days(1): 4, days(2): 2})
        put(conn, LAST, {days(0): 14})
        assert delays.complete_until(conn, CLOCK) == LAST
        refresh(conn)
    with reading(engine) as conn:
        curves = delays.read(conn)
        assert curves[ALL].known[:4] == pytest.approx((0.7, 0.9, 1.0, 1.0))
        assert (curves[ALL].tickets, curves[ALL].complete_after) == (400, 1)
        assert delays.complete_until(conn, CLOCK) == LAST - timedelta(days=1)


def test_where_reception_was_not_told_nothing_is_known_and_nothing_waits(engine: Engine) -> None:
    with writing(engine) as conn:
        for back in range(30):
            put(conn, FOLLOWED - timedelta(days=back), {timedelta(minutes=-30): 30})
        put(conn, LAST, {days(0): 5})
        assert refresh(conn) == {}
        assert delays.complete_until(conn, CLOCK) == LAST


@pytest.mark.parametrize("history", [timedelta(minutes=-30), days(400)])
def test_history_loaded_as_a_whole_does_not_blur_what_is_live(engine: Engine, history: timedelta) -> None:
    with writing(engine) as conn:
        for back in range(10):
            put(conn, FOLLOWED - timedelta(days=back), {days(0): 30, days(1): 20})
        alone = delays.estimate(conn, CLOCK)
        for back in range(10, DAYS):
            put(conn, FOLLOWED - timedelta(days=back), {history: 100})
        assert delays.estimate(conn, CLOCK) == alone
    assert alone[ALL].known[:2] == pytest.approx((0.6, 1.0))


def test_days_too_new_to_be_followed_and_older_ones_than_the_window_do_not_count(engine: Engine) -> None:
    with writing(engine) as conn:
        put(conn, FOLLOWED + timedelta(days=1), {days(0): 100, days(3): 400})
        put(conn, FOLLOWED - timedelta(days=DAYS), {days(0): 100, days(3): 400})
        assert delays.estimate(conn, CLOCK) == {}
        put(conn, FOLLOWED - timedelta(days=DAYS - 1), {days(0): 300, days(1): 100})
        assert delays.estimate(conn, CLOCK)[ALL].tickets == 400


def test_a_category_that_comes_later_than_the_city_has_its_own_curve(engine: Engine) -> None:
    with writing(engine) as conn:
        for back in range(30):
            put(conn, FOLLOWED - timedelta(days=back), {days(0): 95, days(1): 5})
            put(conn, FOLLOWED - timedelta(days=back), {days(1): 1, days(4): 10}, "SLOW")
            put(conn, FOLLOWED - timedelta(days=back), {days(0): 1}, "RARE")
        curves = refresh(conn)
    assert {code: curve.complete_after for code, curve in curves.items()} == {ALL: 1, "SLOW": 4, "X": 0}


def test_a_feed_that_stopped_does_not_make_its_last_day_complete(engine: Engine) -> None:
    with writing(engine) as conn:
        for back in range(20):
            put(conn, FOLLOWED - timedelta(days=back), {days(0): 10, days(2): 10})
        refresh(conn)
        put(conn, LAST - timedelta(days=7), {days(0): 10})
        assert delays.complete_until(conn, CLOCK) == FOLLOWED + timedelta(days=5)  # a week ago, less two days of delay
        assert delays.complete_until(conn, Clock(ZONE, datetime(2024, 1, 1, tzinfo=UTC))) is None
