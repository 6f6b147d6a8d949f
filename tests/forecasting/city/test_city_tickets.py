"""Ticket rows agree with the counts, carry no person, and hold the planted faults."""

import numpy as np
import pandas as pd
import pytest

from forecasting.city import City


def _first(city: City) -> pd.DataFrame:
    return city.tickets.drop_duplicates("ticket_id", keep="first")


def _faults(city: City, kind: str) -> pd.DataFrame:
    found = city.faults[city.faults.kind == kind]
    assert len(found)
    return found


@pytest.mark.parametrize("name", ["small", "full"])
def test_tickets_add_up_to_the_counts(name: str, request: pytest.FixtureRequest) -> None:
    city: City = request.getfixturevalue(name)
    tickets = _first(city)
    moment = tickets.created_at.dt
    made = tickets.groupby([tickets.district.replace("", "UNKNOWN"), "category", moment.normalize(), moment.hour]).size()
    counts = city.counts[city.counts.date >= tickets.created_at.min().normalize()]
    told = counts.set_index(["district", "category", "date", "hour"])["count"].sort_index()
    assert made.index.set_names(told.index.names).equals(told.index)
    assert (made.to_numpy() == told.to_numpy()).all()


def test_above_a_scale_of_three_tenths_only_sixty_days_have_ticket_rows(full: City, small: City) -> None:
    assert full.tickets.created_at.dt.normalize().nunique() == 60
    assert full.tickets.created_at.max().date() == full.end
    assert small.tickets.created_at.min().date() == small.start


def test_moments_come_in_order(small: City) -> None:
    tickets = small.tickets
    assert (tickets.created_at < tickets.received_at).all()
    assert (tickets.received_at <= tickets.updated_at)[: len(_first(small))].all()
    assert _first(small).created_at.is_monotonic_increasing
    closed = tickets.status == "closed"
    assert tickets.updated_at[closed].max() <= pd.Timestamp(small.end) + pd.Timedelta(days=1)
    assert closed.mean() > 0.95
    usual = (tickets.received_at - tickets.created_at).dt.total_seconds()
    assert usual.median() == pytest.approx(3.2 * 60 + 30, rel=0.1)


def test_no_column_tells_who_called(small: City) -> None:
    expected = "ticket_id created_at district category received_at updated_at status source channel caller lat lon"
    assert " ".join(small.tickets.columns) == expected
    assert small.tickets.caller.str.fullmatch("[0-9a-f]{16}").all()


def test_a_file_delivered_twice_repeats_its_ticket_ids(small: City) -> None:
    twice = small.tickets[small.tickets.duplicated("ticket_id", keep=False)]
    days = _faults(small, "duplicate_file").start
    assert set(twice.created_at.dt.normalize()) == set(days)
    again = small.tickets[small.tickets.duplicated("ticket_id", keep="first")].set_index("ticket_id")
    before = _first(small).set_index("ticket_id").loc[again.index]
    assert len(again) == _first(small).created_at.dt.normalize().isin(days).sum()
    pd.testing.assert_frame_equal(again.drop(columns="received_at"), before.drop(columns="received_at"))
    assert (again.received_at > before.created_at).all()


def test_one_ticket_in_two_hundred_has_no_district(small: City) -> None:
    blank = small.tickets.district == ""
    assert blank.mean() == pytest.approx(0.005, rel=0.1)
    assert (small.tickets.lat.isna() == blank).all()


def test_a_district_is_missing_for_a_day(small: City) -> None:
    for fault in _faults(small, "missing_district").itertuples():
        mine = small.counts[(small.counts.district == fault.district)].groupby("date")["count"].sum()
        assert fault.start not in mine.index
        assert fault.start - pd.Timedelta(days=1) in mine.index


def test_an_outage_loses_calls_which_partly_return_the_next_day(full: City) -> None:
    total = full.counts.groupby(["date", "hour"])["count"].sum()
    for fault in _faults(full, "outage").itertuples():
        hours = range(fault.start.hour, fault.end.hour)
        day = fault.start.normalize()
        usual = np.median([total[day + pd.Timedelta(days=7 * week)][hours].sum() for week in (-3, -2, -1, 1, 2, 3)])
        assert total[day][hours].sum() / usual == pytest.approx(0.3, abs=0.12)


def test_late_days_bring_a_share_of_their_tickets_one_or_two_days_later(small: City) -> None:
    tickets = _first(small)
    delay = tickets.received_at - tickets.created_at
    late = delay > pd.Timedelta(days=1)
    assert delay.max() < pd.Timedelta(days=2.1)
    faults = _faults(small, "late")
    share = late.groupby(tickets.created_at.dt.normalize()).mean()
    assert set(share[share > 0].index) == set(faults.start)
    for fault in faults.itertuples():
        assert share[fault.start] == pytest.approx(fault.amount, abs=0.025)
    assert sorted(faults.amount) == [0.03] * 6 + [0.3] * 3


def test_repeats_share_caller_place_and_category_within_seven_days(small: City) -> None:
    tickets = _first(small)
    again = tickets[tickets.caller.duplicated(keep=False)]
    first = again.groupby("caller").transform("first")
    for column in ("district", "category"):
        assert (again[column] == first[column]).all()
    assert np.allclose(again.lat, first.lat, equal_nan=True)
    assert tickets.caller.duplicated().mean() == pytest.approx(0.06, abs=0.02)
    assert (again.created_at - first.created_at).max() <= pd.Timedelta(days=7)


def test_the_app_takes_ten_points_from_the_phone_in_the_summer_of_2025(small: City) -> None:
    later = small.tickets.created_at >= "2025-07-15"
    mix = pd.crosstab(later, small.tickets.channel, normalize="index")
    assert mix.loc[True, "app"] - mix.loc[False, "app"] == pytest.approx(0.10, abs=0.01)
    assert mix.loc[False, "phone"] - mix.loc[True, "phone"] == pytest.approx(0.10, abs=0.01)
    assert mix.loc[False, "phone"] == pytest.approx(0.867, abs=0.005)


def test_every_fault_is_listed(small: City) -> None:
    kinds = small.faults.kind.value_counts()
    yearly = {"missing_district": 3, "late": 9, "outage": 3, "duplicate_file": 3}
    assert kinds.to_dict() == {**yearly, "recoding": 1, "channel_shift": 1, "repeats": 1, "blank_district": 1}
    assert (small.faults.start < small.faults.end).all()
    days = small.faults[small.faults.kind.isin(yearly)].start.dt.normalize()
    assert days.is_unique
