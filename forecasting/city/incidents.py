"""Incidents of the simulated city: what breaks, what builds up, what is announced; and the weather's own, for the record."""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.calendars import day_table
from forecasting.city.places import ALL_CODES, DISTRICT_CODES, DISTRICTS, NEW_CODES, ROOT
from forecasting.city.rates import cold_response, weather_response
from forecasting.city.streams import Purpose, stream
from forecasting.city.weather import Weather

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Kind:
    """A kind of incident.

    Attributes:
        name: its name.
        category: what it makes people complain about.
        places: least and most districts it strikes; 16 means all.
        per_year: how many a year.
        shape: by day from the onset on, 1 at the peak.
        multiplier: least and greatest factor at the peak.
        months: first and last month, wrapping over the New Year.
        announced: is it known beforehand?
        also: categories that rise as well, with their factor at the peak.
    """

    name: str
    category: str
    places: tuple[int, int]
    per_year: int
    shape: tuple[float, ...]
    multiplier: tuple[float, float]
    months: tuple[int, int] = (1, 12)
    announced: bool = False
    also: tuple[tuple[str, float], ...] = ()


def _decay(days: int, scale: float) -> tuple[float, ...]:
    return tuple(float(x) for x in np.exp(-np.arange(days) / scale).round(3))


KINDS = (
    Kind("heating_pipe", "HEAT", (1, 1), 6, (0.25, 1, 0.7, 0.3), (3, 7), (11, 3)),
    Kind("water_main", "WATER", (1, 1), 8, (1, 0.5, 0.15), (5, 11), also=(("ROAD", 1.5),)),
    Kind("power_cut", "POWER", (1, 1), 5, (1, 0.3), (5, 12)),
    Kind("prepaid_closure", "CONSUM", (1, 3), 6, (0.1, 0.25, 0.45, 0.65, 0.85, 1, *_decay(7, 3.0)[1:]), (1.8, 3.2)),
    Kind("unpaid_wages", "LABOR", (1, 1), 5, (0.2, 0.5, 0.8, 1, 0.7, 0.4, 0.2), (2.2, 4)),
    Kind("night_building", "NOISE_C", (1, 1), 6, (0.35, 0.7, 1, 1, 1, 1, 1, 0.6, 0.25), (2, 4)),
    Kind("bus_route_change", "BUS", (1, 2), 5, _decay(20, 8.0), (2.2, 4.5), announced=True),
    Kind("waste_collection", "ENV", (1, 1), 4, (0.2, 0.5, 0.8, 1, 0.8, 0.5, 0.2), (1.8, 3)),
    Kind("telecom_failure", "COMM", (2, 5), 2, (1, 0.2), (4, 9)),
    Kind("dust_or_smell", "AIR", (16, 16), 2, (1, 0.4), (2, 4), (3, 5)),
)
APART = 14  # days between the end of one incident and the onset of the next in the same district and category

POLICY_DAY, POLICY_CATEGORY, POLICY_MULTIPLIER, POLICY_FADE = date(2025, 9, 1), "EBIKE", 2.5, 21.0
POLICY_LENGTH = 105  # days: five times the fading time

NEW_PER_YEAR = 3
NEW_PLACES = (1, 4)
NEW_PEAK = (8.0, 15.0)  # tickets a day and district at the height, at scale 1
NEW_FIRST_YEAR = 2023  # the year in which the list of new kinds begins; it begins anew when it is used up
NEW_SHAPE = np.concatenate([1 / (1 + np.exp(-(np.arange(45) - 18) / 5)), np.exp(-np.arange(1, 46) / 15)])  # slow growth, then oblivion

STORM_RAIN = 25.0  # mm on a day in a district: a storm
COLD_DROP = 6.0  # ℃ in two days while the heating runs: a cold wave
BULLETIN_DAYS, BULLETIN_WEEKDAY, BULLETIN_HOUR = 35, 0, 8  # announced events: every Monday at 8:00, for five weeks
EVENT_DAYS = 21  # days that the driver of an announced event is 1

COLUMNS = ["id", "kind", "districts", "category", "also", "onset", "peak", "end", "multiplier", "announced", "planted"]
Row = tuple[str, str, str, str, date, date, date, float, bool, bool]  # COLUMNS without the id


@dataclass(frozen=True)
class Incident:
    """One planted incident: places in `DISTRICT_CODES`, onset, shape by day, factor at the peak.

    `multiplier` is NaN for a new kind of complaint, which has no usual level; `rate` is its height in tickets a day and district at scale 1.
    """

    kind: str
    category: str
    places: tuple[int, ...]
    onset: date
    shape: Floats
    multiplier: float
    rate: float = 0.0
    announced: bool = False
    also: tuple[tuple[str, float], ...] = ()

    @property
    def peak(self) -> date:
        return self.onset + timedelta(days=int(self.shape.argmax()))

    @property
    def end(self) -> date:
        return self.onset + timedelta(days=len(self.shape) - 1)


def plan_incidents(seed: int, first_year: int, last_year: int) -> list[Incident]:
    """All planted incidents that begin in the given years, by onset. A year's incidents depend on the seed and the year alone."""
    planned: list[Incident] = []
    for year in range(first_year, last_year + 1):
        planned += _year_of_incidents(seed, year)
    if first_year <= POLICY_DAY.year <= last_year:
        fading = np.exp(-np.arange(POLICY_LENGTH) / POLICY_FADE)
        planned.append(Incident("policy", POLICY_CATEGORY, tuple(range(len(DISTRICTS))), POLICY_DAY, fading, POLICY_MULTIPLIER, announced=True))
    return sorted(planned, key=lambda one: (one.onset, one.kind))


def _year_of_incidents(seed: int, year: int) -> list[Incident]:
    rng = stream(seed, Purpose.INCIDENT, year)
    people = np.array([d.population for d in DISTRICTS], float)
    days = [date(year, 1, 1) + timedelta(days=i) for i in range(365)]
    planned: list[Incident] = []
    for kind in KINDS:
        first, last = kind.months
        season = [day for day in days if (first <= day.month <= last if first <= last else day.month >= first or day.month <= last)]
        if kind.category == "HEAT":  # in regular heating, when pipes break
            season = [day for day in season if (day.month, day.day) >= (11, 16) or (day.month, day.day) <= (3, 8)]
        planned_here: list[Incident] = []
        while len(planned_here) < kind.per_year:
            size = int(rng.integers(kind.places[0], kind.places[1] + 1))
            places = tuple(sorted(int(i) for i in rng.choice(len(DISTRICTS), size, replace=False, p=people / people.sum())))
            onset = season[int(rng.integers(len(season)))]
            one = Incident(
                kind.name,
                kind.category,
                places,
                onset,
                np.array(kind.shape),
                round(float(rng.uniform(*kind.multiplier)), 2),
                0.0,
                kind.announced,
                kind.also,
            )
            if not any(_too_near(one, other) for other in planned_here):
                planned_here.append(one)
        planned += planned_here
    for i in range(NEW_PER_YEAR):
        code = NEW_CODES[((year - NEW_FIRST_YEAR) * NEW_PER_YEAR + i) % len(NEW_CODES)]
        size = int(rng.integers(NEW_PLACES[0], NEW_PLACES[1] + 1))
        places = tuple(sorted(int(i) for i in rng.choice(len(DISTRICTS), size, replace=False, p=people / people.sum())))
        onset = days[int(rng.integers(i * 365 // NEW_PER_YEAR, (i + 1) * 365 // NEW_PER_YEAR))]
        planned.append(Incident("first_seen", code, places, onset, NEW_SHAPE, np.nan, round(float(rng.uniform(*NEW_PEAK)), 1)))
    return planned


def _too_near(one: Incident, other: Incident) -> bool:
    gap = timedelta(days=APART)
    return bool(set(one.places) & set(other.places)) and one.onset <= other.end + gap and other.onset <= one.end + gap


def with_incidents(rates: Floats, days: pd.DatetimeIndex, planned: list[Incident], scale: float) -> Floats:
    """The expected rates with the planned incidents: [districts, ALL_CODES, T], a new array."""
    raised = rates.copy()
    for one in planned:
        first = (pd.Timestamp(one.onset) - days[0]).days
        at = first + np.arange(len(one.shape))
        inside = (at >= 0) & (at < len(days))
        shape, columns = one.shape[inside], at[inside]
        if not len(columns):
            continue
        category = ALL_CODES.index(one.category)
        for place in one.places:
            if one.rate:
                raised[place, category, columns] += one.rate * scale * shape
                continue
            raised[place, category, columns] *= 1 + (one.multiplier - 1) * shape
            for code, multiplier in one.also:
                raised[place, ALL_CODES.index(code), columns] *= 1 + (multiplier - 1) * shape
    return raised


def incident_table(planned: list[Incident], days: pd.DatetimeIndex, weather: Weather) -> pd.DataFrame:
    """Incidents that touch the given days, by onset.

    Returns:
        `id, kind, districts, category, also, onset, peak, end, multiplier, announced, planted`: district codes and the further categories with
        `;` between, ALL for all districts; dates, `end` being the last day. `planted` incidents are those that tell the rates with incidents from
        those without; storms and cold waves (`planted` false, known from the forecast) are in both, because weather is.
    """
    rows = [
        (
            one.kind,
            ROOT if len(one.places) == len(DISTRICTS) else ";".join(DISTRICT_CODES[i] for i in one.places),
            one.category,
            ";".join(code for code, _ in one.also),
            one.onset,
            one.peak,
            one.end,
            one.multiplier,
            one.announced,
            True,
        )
        for one in planned
    ]
    rows += _storms(days, weather) + _cold_waves(days, weather)
    first, last = days[0].date(), days[-1].date()
    rows = sorted((row for row in rows if row[6] >= first and row[4] <= last), key=lambda row: (row[4], row[0], row[1]))
    table = pd.DataFrame([(f"I{i:04d}", *row) for i, row in enumerate(rows, 1)], columns=COLUMNS)
    return table.astype(
        {"onset": "datetime64[us]", "peak": "datetime64[us]", "end": "datetime64[us]", "multiplier": float, "announced": bool, "planted": bool}
    )


def _storms(days: pd.DatetimeIndex, weather: Weather) -> list[Row]:
    rain = weather.between(days).rain
    flood = weather_response(days, weather)[:, ALL_CODES.index("FLOOD")]
    rows: list[Row] = []
    for first, last in _runs(np.asarray((rain >= STORM_RAIN).any(axis=0))):
        struck = (rain[:, first : last + 1] >= STORM_RAIN).any(axis=1)
        worst = flood[struck, first : last + 1].max(axis=0)
        places = ROOT if struck.all() else ";".join(np.array(DISTRICT_CODES)[struck])
        ends = days[last].date() + timedelta(days=1)  # roofs leak a day longer
        peak = days[first + int(worst.argmax())].date()
        rows.append(("storm", places, "FLOOD", "HOUSE;GREEN;TRAF;POWER", days[first].date(), peak, ends, round(float(worst.max()), 2), True, False))
    return rows


def _cold_waves(days: pd.DatetimeIndex, weather: Weather) -> list[Row]:
    drop = weather.drop()[weather.place(days)]
    response = cold_response(days, weather)
    heating = day_table(days[0].date(), days[-1].date(), "CN").heating.to_numpy()
    rows: list[Row] = []
    for first, last in _runs((drop >= COLD_DROP) & heating):
        peak = first + int(response[first : last + 1].argmax())
        multiplier = round(float(response[peak]), 2)
        rows.append(("cold_wave", ROOT, "HEAT", "", days[first].date(), days[peak].date(), days[last].date(), multiplier, True, False))
    return rows


def _runs(mark: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """First and last place of every run of marked places."""
    edge = np.diff(np.concatenate([[0], mark.astype(np.int8), [0]]))
    return [(int(a), int(b) - 1) for a, b in zip(np.flatnonzero(edge == 1), np.flatnonzero(edge == -1), strict=True)]


def event_drivers(planned: list[Incident], start: date, end: date) -> pd.DataFrame:
    """Announced events as drivers: `name, date, value, district, issued_at`.

    `bus_route_change` (by district) and `ebike_policy` (district ALL) are 1 on the 21 days from the event on and else 0, observed on every day and
    announced every Monday at 8:00 for five weeks from that day on.
    """
    observed = pd.date_range(start, end)
    everything = pd.date_range(start, end + timedelta(days=BULLETIN_DAYS))
    bulletins = pd.date_range(pd.Timestamp(start) - pd.Timedelta(days=6), end)
    bulletins = bulletins[bulletins.day_of_week == BULLETIN_WEEKDAY]
    changes = [one for one in planned if one.kind == "bus_route_change"]
    parts = []
    for i, code in enumerate(DISTRICT_CODES):
        parts.append(("bus_route_change", code, _event_days(everything, [one.onset for one in changes if i in one.places])))
    parts.append(("ebike_policy", ROOT, _event_days(everything, [POLICY_DAY])))
    announced_days = (bulletins.to_numpy()[:, None] + np.arange(BULLETIN_DAYS).astype("timedelta64[D]")).ravel()
    issued = np.repeat(bulletins.to_numpy() + np.timedelta64(BULLETIN_HOUR, "h"), BULLETIN_DAYS)
    keep = announced_days >= np.datetime64(start)
    announced_days, issued = announced_days[keep], issued[keep]
    place = (announced_days - np.datetime64(start)).astype("timedelta64[D]").astype(int)
    frames = []
    for name, code, value in parts:
        seen = pd.DataFrame({"name": name, "date": observed, "value": value[: len(observed)], "district": code, "issued_at": pd.NaT})
        told = pd.DataFrame({"name": name, "date": announced_days, "value": value[place], "district": code, "issued_at": issued})
        frames += [part.astype({"name": "str", "district": "str", "date": "datetime64[us]", "issued_at": "datetime64[us]"}) for part in (seen, told)]
    return pd.concat(frames, ignore_index=True)


def _event_days(days: pd.DatetimeIndex, onsets: list[date]) -> Floats:
    value = np.zeros(len(days))
    for onset in onsets:
        since = (days - pd.Timestamp(onset)).days.to_numpy()
        value[(since >= 0) & (since < EVENT_DAYS)] = 1.0
    return value
