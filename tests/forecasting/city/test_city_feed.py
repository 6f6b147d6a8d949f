"""What the simulated city delivers in the course of a day."""

from datetime import date, timedelta

import pandas as pd
import pytest

from forecasting.city import deliveries, simulate
from forecasting.city.faults import plan_faults

SEED, SCALE = 4, 0.1
DAY = date(2025, 11, 20)


@pytest.fixture(scope="module")
def today() -> pd.DataFrame:
    return deliveries(SEED, SCALE, DAY, DAY - timedelta(days=1))


@pytest.fixture(scope="module")
def city() -> pd.DataFrame:
    """The city's tickets of the weeks before and of the day itself, as one history tells them."""
    tickets = simulate(SEED, SCALE, date(2025, 6, 1), DAY + timedelta(days=1), faults_before=DAY - timedelta(days=1)).tickets
    return tickets.drop_duplicates("ticket_id").set_index("ticket_id")


def test_they_come_in_order_within_the_day_and_tell_nothing_of_the_future(today: pd.DataFrame) -> None:
    assert today.deliver_at.is_monotonic_increasing
    assert (today.deliver_at.dt.date == DAY).all()
    for moment in ("created_at", "received_at", "updated_at"):
        assert (today[moment] <= today.deliver_at).all()
    assert (today.created_at <= today.received_at).all()
    assert today.status.isin(["open", "closed"]).all()


def test_every_ticket_of_the_day_is_delivered_but_those_that_are_handed_on_after_midnight(today: pd.DataFrame, city: pd.DataFrame) -> None:
    of_the_day = city[city.created_at.dt.date == DAY]
    delivered = set(today.ticket_id[today.created_at.dt.date == DAY])
    assert delivered <= set(of_the_day.index)
    missing = of_the_day.drop(index=list(delivered))
    assert 0 < len(missing) < 0.05 * len(of_the_day)
    tomorrow = deliveries(SEED, SCALE, DAY + timedelta(days=1), DAY - timedelta(days=1))
    assert set(missing.index) <= set(tomorrow.ticket_id)


def test_tickets_are_those_of_the_city_s_history(today: pd.DataFrame, city: pd.DataFrame) -> None:
    told = city.loc[today.ticket_id]
    for name in ("created_at", "district", "category", "source"):
        assert (told[name].to_numpy() == today[name].to_numpy()).all()
    assert (today.created_at < pd.Timestamp(DAY)).sum() > 100


def test_a_fault_of_the_day_before_does_not_change_who_is_who() -> None:
    outage = next(fault.day for fault in plan_faults(SEED, 2025, 2025) if fault.kind == "outage")
    history = simulate(SEED, SCALE, outage - timedelta(days=200), outage).tickets.drop_duplicates("ticket_id").set_index("ticket_id")
    for days in (1, 2):
        coming = deliveries(SEED, SCALE, outage + timedelta(days=days), outage)
        old = coming[coming.created_at < pd.Timestamp(outage + timedelta(days=1))]
        assert len(old) > 100
        assert (history.loc[old.ticket_id, "district"].to_numpy() == old.district.to_numpy()).all()


def test_some_come_late_and_some_twice(today: pd.DataFrame) -> None:
    opened = today[(today.status == "open") & (today.created_at >= pd.Timestamp(DAY))]
    first = opened.drop_duplicates("ticket_id")
    late = first.received_at - first.created_at > pd.Timedelta(hours=0.5)
    assert 0.005 < late.mean() < 0.04
    assert 0.005 < opened.ticket_id.duplicated().mean() < 0.04
    again = opened[opened.ticket_id.duplicated()].set_index("ticket_id")
    before = first.set_index("ticket_id").loc[again.index]
    pd.testing.assert_frame_equal(again.drop(columns="deliver_at"), before.drop(columns="deliver_at"))
    assert (again.deliver_at > before.deliver_at).all()


def test_what_is_handled_today_is_told_as_closed_with_a_later_version(today: pd.DataFrame) -> None:
    closed = today[today.status == "closed"].set_index("ticket_id")
    assert len(closed) > 100
    assert (closed.updated_at == closed.deliver_at).all()
    opened = today[today.status == "open"].drop_duplicates("ticket_id").set_index("ticket_id")
    both = closed.index.intersection(opened.index)
    assert len(both)
    assert (closed.loc[both, "updated_at"] >= opened.loc[both, "updated_at"]).all()


def test_the_same_day_is_always_the_same(today: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(deliveries(SEED, SCALE, DAY, DAY - timedelta(days=1)), today)
