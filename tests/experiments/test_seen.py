"""What a replay sees of tickets as time goes by."""

import numpy as np
import pandas as pd
import tables

from experiments.seen import OfTickets
from forecasting import panel

DAYS = 60
CUTOFF = 50


def seen(*bare: str) -> tuple[OfTickets, pd.DataFrame]:
    """A city; some categories carry dates alone."""
    frame = tables.tickets(DAYS).rename(columns={"created_at": "created"})
    frame["created"] = frame["created"].mask(frame["category"].isin(bare), frame["created"].dt.normalize())
    counts = frame.assign(date=frame["created"].dt.normalize()).groupby(["district", "category", "date"]).size().rename("count").reset_index()
    return OfTickets(frame.assign(received=frame["created"]), panel.from_counts(counts), "none"), frame


def test_tickets_are_known_from_the_end_of_their_hour_on() -> None:
    city, frame = seen()
    day = tables.START + pd.Timedelta(days=55)
    hours = city.hours(55)
    assert hours is not None
    mine = frame[(frame["created"].dt.normalize() == day) & (frame["district"] == "d1") & (frame["category"] == "HEAT")]
    want = [(mine["created"] < day + pd.Timedelta(hours=hour + 1)).sum() for hour in range(24)]
    np.testing.assert_array_equal(hours[0], want)
    share = city.share(CUTOFF, 55)
    assert share is not None
    assert (np.diff(share, axis=1) >= 0).all()
    np.testing.assert_allclose(share[:, -1], 1.0)
    np.testing.assert_allclose(share[:, 11], 0.5, atol=0.1, err_msg="tickets come at all hours alike")


def test_a_file_of_dates_alone_has_no_running_day() -> None:
    city, _ = seen("HEAT", "NOISE")
    assert city.share(CUTOFF, 55) is None


def test_a_category_of_dates_alone_is_known_at_the_day_s_end_and_expected_then() -> None:
    """At midnight nobody knew its tickets: they must not look like a burst at one in the morning."""
    city, _ = seen("NOISE")
    hours, share = city.hours(55), city.share(CUTOFF, 55)
    assert hours is not None
    assert share is not None
    noise = [1, 3]
    assert hours[noise, 22].sum() == 0
    assert hours[noise, 23].sum() > 0
    assert (share[noise, 22] < 0.5).all()  # drawn towards the city, whose other tickets are known by then
    np.testing.assert_allclose(share[[0, 2], 11], 0.5, atol=0.1)
