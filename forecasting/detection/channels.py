"""A channel shift: from one day on tickets come another way than before, an app in the place of the telephone.

What changes with the channels (how many call, and about what) need not be demand. The share of every channel is compared before and since each
day; the days scatter about their mean more than chance alone makes them, so the scatter is theirs (a quasi-binomial variance, McCullagh &
Nelder 1989). The onset is the day with the greatest difference in standard deviations, as in a likelihood ratio over change points (Lorden 1971).
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
import pandas as pd

from forecasting.detection import explain
from forecasting.detection.explain import Labels
from forecasting.detection.finding import DATA, Finding
from forecasting.errors import InputError
from forecasting.hierarchy import ALL

DAYS = 28  # that are looked at
LEAST_DAYS = 5  # before the onset, and since it
FAR = 5.0  # standard deviations: of some channels and three weeks of onsets chance reaches it less than once in ten years
LEAST_MOVED = 0.03  # of all tickets: less is nobody's concern


@dataclass(frozen=True)
class Shift:
    """A moved mix.

    Attributes:
        onset: first day.
        shares: channel -> its share before and since, those that moved by `LEAST_MOVED`, the greatest move first.
        strength: standard deviations.
    """

    onset: date
    shares: dict[str, tuple[float, float]]
    strength: float


def moved(day: date, counts: pd.DataFrame) -> Shift | None:
    """Whether the mix of channels has moved within the last four weeks.

    Args:
        day: the last day; later rows say nothing.
        counts: frame of `date`, `channel`, `count`, several rows of a pair are added up.

    Raises:
        InputError: a column is missing, or a count is negative.
    """
    missing = {"date", "channel", "count"} - set(counts.columns)
    if missing:
        raise InputError(f"there is no column '{min(missing)}'", "channels", "give date, channel, count")
    if (counts["count"] < 0).any():
        raise InputError("a count is negative", "channels", "give counts of 0 or more")
    days = pd.date_range(end=pd.Timestamp(day), periods=DAYS)
    table = counts.assign(date=pd.to_datetime(counts["date"]).dt.normalize()).pivot_table(
        index="date", columns="channel", values="count", aggfunc="sum", fill_value=0
    )
    table = table[table.index.isin(days)]
    table = table[table.sum(axis=1) > 0]
    if len(table) < 2 * LEAST_DAYS or table.shape[1] < 2:
        return None
    came = table.to_numpy(float)
    total = came.sum(axis=1)
    best: tuple[float, int, np.ndarray, np.ndarray] | None = None
    for onset in range(LEAST_DAYS, len(table) - LEAST_DAYS + 1):
        before, since = (came[part].sum(axis=0) / total[part].sum() for part in (slice(0, onset), slice(onset, None)))
        fitted = np.where(np.arange(len(table))[:, None] < onset, before, since) * total[:, None]
        whole = came.sum(axis=0) / total.sum()
        variance = np.maximum(whole * (1.0 - whole), 1e-9)
        scatter = np.maximum(((came - fitted) ** 2 / (total[:, None] * variance)).sum(axis=0) / (len(table) - 2), 1.0)
        deviation = np.sqrt(variance * scatter * (1.0 / total[:onset].sum() + 1.0 / total[onset:].sum()))
        far = np.where(np.abs(since - before) >= LEAST_MOVED, np.abs(since - before) / deviation, 0.0).max()
        if best is None or far > best[0]:
            best = float(far), onset, before, since
    if best is None or best[0] < FAR:
        return None
    far, onset, before, since = best
    order = [k for k in np.argsort(-np.abs(since - before)) if abs(since[k] - before[k]) >= LEAST_MOVED]
    shares = {str(table.columns[k]): (float(before[k]), float(since[k])) for k in order}
    return Shift(table.index[onset].date(), shares, far)


def note(day: date, counts: pd.DataFrame, labels: Labels) -> Finding | None:
    """A moved mix in words, at the whole city: tickets of the channel that moved most, and what its former share would have brought.

    `labels` may name channels, as kind 'channel'.
    """
    shift = moved(day, counts)
    if shift is None:
        return None
    dates = pd.to_datetime(counts["date"]).dt.normalize()
    name, (before, _) = next(iter(shift.shares.items()))
    of_channel = counts["channel"].astype(str) == name
    since = (dates >= pd.Timestamp(shift.onset)) & (dates <= pd.Timestamp(day))
    last = dates == pd.Timestamp(day)
    observed, total = float(counts.loc[last & of_channel, "count"].sum()), float(counts.loc[last, "count"].sum())
    since_observed, since_total = float(counts.loc[since & of_channel, "count"].sum()), float(counts.loc[since, "count"].sum())
    expected = total * before
    half = 1.645 * np.sqrt(total * before * (1.0 - before))
    names = {language: {code: labels.of("channel", code, language) for code in shift.shares} for language in ("zh", "en")}
    zh, en = (explain.channels(names[language], shift.onset, shift.shares, language) for language in ("zh", "en"))
    return Finding(
        DATA, "blue", ALL, ALL, (), day, shift.onset, day, observed, expected, max(expected - half, 0.0), expected + half, since_observed,
        since_total * before, float(10.0 ** -(shift.strength**2 / 4.6)), zh, en,
    )  # fmt: skip
