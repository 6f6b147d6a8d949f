"""The simulated city with its own incidents: what was detected, what was alerted beside them, and what faults of the data brought about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from experiments.benchmarks import panels
from experiments.benchmarks.detection.replay import BUDGET, Request, first
from experiments.benchmarks.panels import SIMULATED
from forecasting import city
from forecasting.city.counts import OVERDISPERSION
from forecasting.detection import evidence
from forecasting.hierarchy import ALL

SEED = 0  # of the reported cities
REPLAYED_FROM = date(2025, 1, 1)  # a whole year, for faults of every kind
JUDGED_DAYS = 180  # the last of it
SLOW = ("prepaid_closure", "unpaid_wages", "night_building", "waste_collection")  # incidents that build up over days
AFTER = 7  # days after an incident on which an alert of it is no surprise
AHEAD = 30  # days that a SEASONAL alert looks ahead
SEASONAL = "SEASONAL"
RISE = 1.2  # the highest coming week of the true rates over the last four weeks: from here on a SEASONAL alert has its reason
HEAT = "HEAT"
HEATING_AHEAD = 60  # days before the peak of heating within which an alert is one of its start: it peaks some weeks after that
LASTS = {"missing_district": 1, "late": 2, "outage": 1, "duplicate_file": 0, "channel_shift": 14, "recoding": 28}  # days that a fault is felt
RECODING = "recoding"  # stands in both copies: whatever is alerted in its categories is due to it
LONGEST = max(evidence.WINDOWS)  # days that are tested together
NEAR = 3  # days within which an alert of the city without faults is the same

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Judged:
    """One city's figures; None or NaN where there was nothing to judge.

    Attributes:
        places: incidents times districts; one in all districts is one place.
        pod, slow: share of places alerted, and of slow-building ones a day or more before their peak.
        beyond: alerts a day that no incident, storm, cold wave, policy or season explains.
        by_kind: those, by kind of alert.
        heating: days from the first alert of the heating season to its peak; None if there was none.
        faults: demand alerts that faults of the data brought about, in the whole year.
        by_chance: of those, how many there would be in recoded categories were they not recoded: as on as many other days; NaN: not asked.
        slow_knowing: as `slow`, of who knows the rates, see `knowing`; NaN: not asked.
    """

    places: int
    pod: float
    slow_places: int
    slow: float
    beyond: float
    by_kind: dict[str, int]
    heating: int | None
    faults: int | None
    by_chance: float = float("nan")
    slow_knowing: float = float("nan")


def folder(name: str, work: Path, faults: bool) -> Path:
    """Where the replay of a city is kept."""
    return work / name / ("faults" if faults else "no-faults")


def request(name: str, work: Path, faults: bool) -> Request:
    """The replay of a city, with or without the faults of the replayed year; files that are missing are made."""
    panel = panels.lay_down(name, None, work / "panels")
    counts = panel.counts
    if not faults:
        counts = work / "panels" / f"{name}-no-faults" / "counts.parquet"
        if not counts.exists():
            counts.parent.mkdir(parents=True, exist_ok=True)
            made = city.simulate(SEED, SIMULATED[name], panels.START, panels.END, faults_before=REPLAYED_FROM)
            half = counts.with_suffix(".half")
            panels.daily(made.counts).to_parquet(half, index=False)
            half.rename(counts)
    days = f"{REPLAYED_FROM}", f"{panels.END}"
    return Request(folder(name, work, faults), *days, counts=counts, drivers=panel.drivers, country=panel.country)


def truth() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Incidents and faults of the replayed year: they depend neither on the scale nor on where a city's days begin."""
    made = city.simulate(SEED, 0.001, REPLAYED_FROM, panels.END)
    return made.incidents, made.faults


def judge(
    told: pd.DataFrame,
    no_faults: pd.DataFrame | None,
    incidents: pd.DataFrame,
    faults: pd.DataFrame,
    rates: pd.DataFrame,
    counts: pd.DataFrame | None = None,
) -> Judged:
    """One city's alerts against its truth.

    Args:
        told: demand alerts of the replayed year, a row each time that one is raised or goes up a level: each tells of places.
        no_faults: alerts of the city without faults, a row each, or None.
        rates: `district, category, date, rate_without_incidents` of the city.
        counts: `district, category, date, count` of the city, or None.
    """
    alerts = first(told)
    end = pd.Timestamp(panels.END)
    start = end - pd.Timedelta(days=JUDGED_DAYS - 1)
    expected = rates.pivot_table(index="date", columns="category", values="rate_without_incidents", aggfunc="sum", fill_value=0.0)
    known = explained(alerts, incidents) | seasonal(alerts, expected)
    judged = alerts["date"].between(start, end).to_numpy()
    planted = incidents[incidents["planted"] & incidents["onset"].between(start, end)]
    found = places(told, planted)
    slow = found[found["kind"].isin(SLOW)]
    beyond = alerts[judged & ~known]
    return Judged(
        len(found),
        float(found["hit"].mean()),
        len(slow),
        float(slow["before"].mean()),
        len(beyond) / JUDGED_DAYS,
        {str(k): int(n) for k, n in beyond["kind"].value_counts().items()},
        heating(alerts, expected.loc[start:end, HEAT]),
        None if no_faults is None else int(from_faults(alerts, no_faults, faults, known).sum()),
        by_chance(alerts, faults, known),
        float("nan") if counts is None else float(knowing(counts, rates, planted[planted["kind"].isin(SLOW)]).mean()),
    )


def _in(alerts: pd.DataFrame, districts: Sequence[str]) -> Bools:
    """[A] True where an alert concerns one of the districts; ALL stands for every one, on either side."""
    wanted = set(districts)
    rows = zip(alerts["districts"], alerts["district"], strict=True)
    named = [set(several) if len(several) else {district} for several, district in rows]
    return np.array([ALL in wanted or ALL in one or bool(wanted & one) for one in named], bool)


def places(alerts: pd.DataFrame, incidents: pd.DataFrame) -> pd.DataFrame:
    """`kind, district, hit, before` of every place of incidents: alerted in its category between onset and end, or foreseen; and before the peak."""
    rows = []
    for one in incidents.to_dict("records"):
        foreseen = pd.to_timedelta(np.where(alerts["kind"] == SEASONAL, AHEAD, 0), unit="D")
        day = alerts["date"]
        timely = ((day >= one["onset"] - foreseen) & (day <= one["end"]) & (alerts["category"] == one["category"])).to_numpy()
        for district in one["districts"].split(";"):
            days = day[timely & _in(alerts, [district])]
            rows.append((one["kind"], district, len(days) > 0, bool((days < one["peak"]).any())))
    return pd.DataFrame(rows, columns=["kind", "district", "hit", "before"])


def knowing(counts: pd.DataFrame, rates: pd.DataFrame, incidents: pd.DataFrame) -> Bools:
    """[P] whether who knows the rates and their scatter finds each place of incidents a day or more before its peak.

    The test is the product's, and so is the budget, shared alike among the series.
    """
    keys = ["district", "category"]
    limit = evidence.threshold(BUDGET / len(rates[keys].drop_duplicates()))
    mean = rates.set_index([*keys, "date"])["rate_without_incidents"].sort_index()
    came = counts.set_index([*keys, "date"])["count"].reindex(mean.index, fill_value=0)
    found = []
    for one in incidents.to_dict("records"):
        days = pd.date_range(one["onset"] - pd.Timedelta(days=LONGEST - 1), one["peak"] - pd.Timedelta(days=1))
        for district in one["districts"].split(";"):
            expected = mean[district, one["category"]].reindex(days).to_numpy(float)
            observed = came[district, one["category"]].reindex(days, fill_value=0).to_numpy(float)
            score = evidence.score(observed, expected, np.full(len(days), OVERDISPERSION))
            found.append(bool((score[LONGEST - 1 :] >= limit).any()))
    return np.array(found, bool)


def explained(alerts: pd.DataFrame, incidents: pd.DataFrame) -> Bools:
    """[A] True where an incident, planted or of the weather, is near in time, place and category; ALL stands for every category."""
    known = np.zeros(len(alerts), bool)
    for one in incidents.to_dict("records"):
        ahead = pd.to_timedelta(np.where(alerts["kind"] == SEASONAL, AHEAD, 0), unit="D")
        timely = (alerts["date"] >= one["onset"] - ahead) & (alerts["date"] <= one["end"] + pd.Timedelta(days=AFTER))
        alike = alerts["category"].isin([one["category"], *one["also"].split(";"), ALL])
        known |= (timely & alike).to_numpy() & _in(alerts, one["districts"].split(";"))
    return known


def seasonal(alerts: pd.DataFrame, expected: pd.DataFrame) -> Bools:
    """[A] True for SEASONAL alerts of categories whose true rates, incidents apart, rise in the coming 30 days.

    Args:
        expected: days x categories, tickets a day.
    """
    week = expected.rolling(7).mean()
    coming = week[::-1].rolling(AHEAD, min_periods=1).max()[::-1].shift(-1)
    rises = coming >= RISE * expected.rolling(28).mean()
    rises[ALL] = rises.any(axis=1)
    at, column = rises.index.get_indexer(pd.DatetimeIndex(alerts["date"])), rises.columns.get_indexer(pd.Index(alerts["category"]))
    there = (at >= 0) & (column >= 0)
    return np.asarray((alerts["kind"] == SEASONAL).to_numpy() & there & rises.to_numpy(bool)[at, column])


def heating(alerts: pd.DataFrame, expected: pd.Series) -> int | None:
    """Days from the first SEASONAL alert of heating to the day of most heating tickets, by the true rates of the judged days."""
    peak = expected.index[int(expected.to_numpy().argmax())]
    rows = alerts[(alerts["kind"] == SEASONAL) & (alerts["category"] == HEAT)]
    days = (peak - rows["date"]).dt.days
    near = days[days.between(0, HEATING_AHEAD)]
    return int(near.max()) if len(near) else None


def from_faults(alerts: pd.DataFrame, no_faults: pd.DataFrame, faults: pd.DataFrame, known: Bools) -> Bools:
    """[A] True for alerts on the days of a fault, in its place, that the city without faults does not raise and nothing explains."""
    near_fault = np.zeros(len(alerts), bool)
    recoded = np.zeros(len(alerts), bool)
    for one in faults[faults["kind"].isin(list(LASTS))].to_dict("records"):
        first = one["start"].normalize()
        last = first + pd.Timedelta(days=LASTS[one["kind"]])
        felt = alerts["date"].between(first, last).to_numpy() & _in(alerts, [one["district"] or ALL])
        if one["category"]:
            felt &= alerts["category"].isin([*one["category"].split(";")]).to_numpy()
        if one["kind"] == RECODING:
            recoded |= felt
        else:
            near_fault |= felt
    return (recoded | (near_fault & ~_also_raised(alerts, no_faults))) & ~known


def by_chance(alerts: pd.DataFrame, faults: pd.DataFrame, known: Bools) -> float:
    """Alerts in recoded categories that nothing explains, on as many other days of the year as recodings are felt."""
    year = (pd.Timestamp(panels.END) - pd.Timestamp(REPLAYED_FROM)).days + 1
    found = 0.0
    for one in faults[faults["kind"] == RECODING].to_dict("records"):
        first = one["start"].normalize()
        felt = alerts["date"].between(first, first + pd.Timedelta(days=LASTS[RECODING])).to_numpy()
        same = alerts["category"].isin(one["category"].split(";")).to_numpy()
        days = LASTS[RECODING] + 1
        found += float((same & ~felt & ~known).sum()) * days / (year - days)
    return found


def _also_raised(alerts: pd.DataFrame, others: pd.DataFrame) -> Bools:
    """[A] True where the others have an alert of the same category and place within some days."""
    same = []
    for one in alerts.to_dict("records"):
        near = others[(others["category"] == one["category"]) & ((others["date"] - one["date"]).abs() <= pd.Timedelta(days=NEAR))]
        same.append(bool(_in(near, list(one["districts"]) or [one["district"]]).any()))
    return np.array(same, bool)
