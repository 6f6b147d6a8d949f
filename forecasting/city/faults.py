"""Faults of the data that the simulated city delivers: they must be noticed as such and never be taken for demand."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

import pandas as pd

from forecasting.city.places import DISTRICT_CODES, DISTRICTS
from forecasting.city.rates import RECODED_FROM, RECODED_SHARE, RECODED_TO, RECODING
from forecasting.city.streams import Purpose, stream

LATE_SHARES = (0.03, 0.03, 0.30)  # of the tickets of three days a year, which arrive one or two days later
OUTAGE_HOURS, OUTAGE_LOSS, OUTAGE_RETURN = 4, 0.70, 0.60  # hours without service, share of calls lost, share of those that call next day
BLANK_SHARE = 0.005  # tickets without a district
REPEAT_SHARE, REPEAT_DAYS = 0.06, 7  # tickets that repeat an earlier one of the same caller, place and category
CHANNELS = {"phone": 0.867, "web": 0.050, "app": 0.083}
CHANNEL_SHIFT, CHANNEL_SHARE = date(2025, 7, 15), 0.10  # the day on which the app takes so much more from the phone

COLUMNS = ["id", "kind", "district", "category", "start", "end", "amount", "note"]


@dataclass(frozen=True)
class Fault:
    """One fault on one day: its kind, day, district (a place in `DISTRICT_CODES`, or None), first hour and share concerned."""

    kind: str
    day: date
    amount: float
    district: int | None = None
    hour: int = 0


def plan_faults(seed: int, first_year: int, last_year: int) -> list[Fault]:
    """The faults of single days, by day: each year has one missing district, three late days, one outage and one file delivered twice.

    A year's faults depend on the seed and the year alone, keep some days' distance from one another and never fall on the last days of a month.
    """
    planned: list[Fault] = []
    for year in range(first_year, last_year + 1):
        rng = stream(seed, Purpose.FAULT, year)
        weeks = sorted(int(i) for i in rng.choice(25, 6, replace=False) * 2)  # every other week at most
        order = rng.permutation(6)
        days = [_early(date(year, 1, 1) + timedelta(days=7 * weeks[i] + int(rng.integers(7)))) for i in order]
        planned.append(Fault("missing_district", days[0], 1.0, int(rng.integers(len(DISTRICTS)))))
        planned += [Fault("late", day, share) for day, share in zip(days[1:4], LATE_SHARES, strict=True)]
        planned.append(Fault("outage", days[4], OUTAGE_LOSS, None, int(rng.integers(8, 17))))
        planned.append(Fault("duplicate_file", days[5], 1.0))
    return sorted(planned, key=lambda one: one.day)


def _early(day: date) -> date:
    """The day itself, or the 27th if it is later in its month: what an outage puts off to the next day stays in the month."""
    return day.replace(day=min(day.day, 27))


def fault_table(planned: list[Fault], start: date, end: date) -> pd.DataFrame:
    """Faults between two days: `id, kind, district, category, start, end, amount, note`, by start; moments are local, `end` is excluded.

    `amount` is the share of tickets concerned; `district` and `category` are empty where all are.
    """
    midnight = datetime.combine(start, time.min)
    over = datetime.combine(end + timedelta(days=1), time.min)
    notes = {
        "missing_district": "no ticket of the district arrives",
        "late": "tickets arrive one or two days later",
        "outage": f"calls are lost for {OUTAGE_HOURS} hours; {OUTAGE_RETURN:.0%} of them come the next day",
        "duplicate_file": "the day's file arrives a second time, with the same ticket ids",
    }
    rows = []
    for one in planned:
        begin = datetime.combine(one.day, time(one.hour))
        stop = begin + (timedelta(hours=OUTAGE_HOURS) if one.kind == "outage" else timedelta(days=1))
        rows.append((one.kind, "" if one.district is None else DISTRICT_CODES[one.district], "", begin, stop, one.amount, notes[one.kind]))
    recoded = f"so much of {RECODED_FROM} is filed under {' and '.join(RECODED_TO)}"
    rows.append(("recoding", "", ";".join((RECODED_FROM, *RECODED_TO)), datetime.combine(RECODING, time.min), over, RECODED_SHARE, recoded))
    rows.append(("channel_shift", "", "", datetime.combine(CHANNEL_SHIFT, time.min), over, CHANNEL_SHARE, "the app takes so much from the phone"))
    rows.append(("repeats", "", "", midnight, over, REPEAT_SHARE, f"same caller, place and category within {REPEAT_DAYS} days"))
    rows.append(("blank_district", "", "", midnight, over, BLANK_SHARE, "tickets without a district"))
    rows = sorted((row for row in rows if row[4] > midnight and row[3] < over), key=lambda row: (row[3], row[0]))
    table = pd.DataFrame([(f"F{i:03d}", *row) for i, row in enumerate(rows, 1)], columns=COLUMNS)
    return table.astype({"start": "datetime64[us]", "end": "datetime64[us]", "amount": float})
