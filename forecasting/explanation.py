"""Why a forecast is what it is: its mean as the sum of what level, trend, calendar and weather add to it, in tickets.

A mean is a product: the node's usual level, times what has changed since, times the factors of weekday, holiday, season and weather, times
the level that the members together see beyond these. The factors are those of the log-linear member, made as strong as the blend has them;
what is left on single days, where members disagree or sums were made to add up, is the rest. The logarithmic mean
Divisia method (LMDI-I, Ang 2004, Energy Policy 32) turns the product into a sum without a remainder: a factor f adds L * log f, L being
the logarithmic mean of forecast and level.

Every factor is relative to the days from which the level is taken: over these the product of all factors has mean 1. So a season adds
what a day has more than the year, not more than some summer.
"""

from collections.abc import Mapping
from datetime import date
from itertools import pairwise

import numpy as np
import pandas as pd

from forecasting import effects
from forecasting.calendars import HOLIDAY_SHAPE
from forecasting.detection.explain import Labels, number
from forecasting.models import smoothing
from forecasting.models.base import Known
from forecasting.models.baselines import USUAL_DAYS, without_bursts
from forecasting.models.loglinear import FittedLoglinear

PARTS = ("level", "trend", "news", *effects.GROUPS, "members")
"""What is computed."""
REST = "rest"  # what they lack to the mean
COLUMNS = tuple(f"part_{name}" for name in PARTS)
"""The parts as columns of a forecast set."""

LABELS: Mapping[str, tuple[str, str]] = {
    "level": ("平常水平", "usual level"),
    "trend": ("趋势", "trend"),
    "news": ("近四周", "last four weeks"),
    "weekday": ("星期", "weekday"),
    "holiday": ("节假日", "holidays"),
    "season": ("季节", "season"),
    "weather": ("天气", "weather"),
    "members": ("其他模型", "other models"),
    REST: ("其余", "other"),
}
"""Of each part, zh and en, in the order in which they are told."""
NAMES = tuple(LABELS)

YEAR = 364  # days of the level: whole weeks, every season once
NEWS, QUARTER = 28, 91  # days: the last four weeks against the two months before them, these against the year
BITS = 10  # of the parts as stored: each is right to 0.05 %, and the set takes 60 % of the room; the rest takes up what is lost
MONTH = 28  # days ahead over which the blend's level and pattern are compared with the factors: four of every weekday
MOST_STRONGER = 1.0  # times itself by which a pattern of the log-linear member is made stronger or weaker; a reversed one is another pattern
FLAT = 0.05  # sum of squared logs that "as strong as the member says" is worth: of a flat pattern nobody can tell how strong it is
PRIOR = 6.0  # tickets that "nothing has changed" is worth: a sparse node's last weeks say little

SHOWN = 3  # parts that a sentence names
WORTH_NAMING = 0.05  # of all that moves the forecast
DAYS_ZH, DAYS_EN = "一二三四五六日", ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def parts(known: Known, means: np.ndarray, fitted: FittedLoglinear | None, near: int | None = None) -> np.ndarray:
    """What each part adds to the forecast of every node and day.

    * level: mean tickets a day of the last 364 days known, or of as many as there are; as everywhere below, what is usual stands in the
      place of a burst.
    * trend: the two months before the last four weeks against the year, both without the calendar and the weather. news: the last four
      weeks against these two months.
    * weekday, holiday, season, weather: the log-linear member's factors; weekday and holiday also have what is the node's own.
      Without that member these are same-weekday means, season and weather add nothing. Over the days ahead they are as strong as the
      forecast has them: see `_as_forecast`.
    * members: by how much the whole forecast lies higher or lower than all these say.

    Args:
        known: what was known when the forecast was made.
        means: [M, H] the published means of the days after the cutoff, >= 0.
        fitted: the log-linear member, if there is one.
        near: days after the cutoff that are compared with the factors by themselves, because other members made them; the first
            `MONTH` if left out.

    Returns:
        [M, H, P] tickets, in the order of `PARTS`; finite. What the sum lacks to the mean is the rest. A node without a ticket in its
        year, or with a mean of 0, has its level and what the members see beyond it: a product cannot tell more.
    """
    m, horizon = means.shape
    n_days = len(known.panel.days)
    first = smoothing.start(known, fitted.years) if fitted else 0
    start = max(first, n_days - YEAR - USUAL_DAYS)  # whether a day is a burst is told by the four weeks before it
    kinds = known.calendar(horizon)["shape_day"].to_numpy(int)[start : n_days + horizon]
    logs, which = np.zeros((len(effects.GROUPS), 1, n_days - start + horizon)), np.zeros(m, int)
    if fitted is not None:
        logs, which = fitted.logs(known, horizon, first)
        logs = _without_weekday(logs[..., start - first :], kinds == HOLIDAY_SHAPE, horizon)
    counts = known.since_first[:, start:]
    out = np.zeros((m, horizon, len(PARTS)))
    for i in range(0, m, smoothing.CHUNK):
        rows = slice(i, i + smoothing.CHUNK)
        out[rows] = _parts(counts[rows], means[rows], logs[:, which[rows]], kinds, min(near or MONTH, horizon))
    return out


def _without_weekday(logs: np.ndarray, free: np.ndarray, horizon: int) -> np.ndarray:
    """Log factors [G, U, n + H] in which a free day [n + H] has the weekday of a usual day: what it brings less, it owes to the holiday.

    The regression gives a free day no weekday, so that the mean of all weekdays is part of their effects.
    """
    weekday, holiday = (effects.GROUPS.index(name) for name in ("weekday", "holiday"))
    usual = np.log(np.exp(logs[weekday, :, :-horizon][:, ~free[:-horizon]]).mean(axis=-1, keepdims=True))
    out = logs.copy()
    out[weekday] = np.where(free, usual, logs[weekday])
    out[holiday] += logs[weekday] - out[weekday]
    return out


def _parts(counts: np.ndarray, means: np.ndarray, logs: np.ndarray, kinds: np.ndarray, near: int) -> np.ndarray:
    """[m, H, P] of counts [m, n], means [m, H], log factors [G, m, n + H] and kinds of day [n + H]."""
    n_days, horizon = counts.shape[1], means.shape[1]
    usual = np.exp(logs[..., :n_days].sum(axis=0))
    counts = without_bursts(counts / usual) * usual
    newest = slice(max(0, n_days - YEAR), n_days)
    there = ~np.isnan(counts[:, newest])
    counts, past, ahead = np.where(there, counts[:, newest], 0.0), logs[..., newest], logs[..., n_days:]
    past_kinds, ahead_kinds = kinds[newest], kinds[n_days:]

    # Each group is divided by what it adds to the mean of the product so far, so that the whole product has mean 1.
    number_of_days = there.sum(axis=1)
    product = np.exp(np.cumsum(past, axis=0))
    totals = np.concatenate([number_of_days[None], np.einsum("gmt,mt->gm", product, there)])
    norm = np.log(np.where(totals > 0, totals, 1.0))
    factors = ahead - np.diff(norm, axis=0)[..., None]  # [G, m, H] logs
    level = counts.sum(axis=1) / np.maximum(number_of_days, 1)
    expected = there * product[-1] * (level * number_of_days / np.maximum(totals[-1], 1e-12))[:, None]

    of_kind = np.eye(smoothing.KINDS)
    own = np.log((counts @ of_kind[past_kinds] + PRIOR) / (expected @ of_kind[past_kinds] + PRIOR))  # [m, KINDS]
    expected = expected * np.exp(own[:, past_kinds])
    holiday = ahead_kinds == HOLIDAY_SHAPE
    factors[effects.GROUPS.index("holiday")] += np.where(holiday, own[:, ahead_kinds], 0.0)
    factors[effects.GROUPS.index("weekday")] += np.where(holiday, 0.0, own[:, ahead_kinds])

    quarter, weeks = slice(-QUARTER, -NEWS), slice(-NEWS, None)
    trend = (counts[:, quarter].sum(axis=1) + PRIOR) / (expected[:, quarter].sum(axis=1) + PRIOR)
    news = (counts[:, weeks].sum(axis=1) + PRIOR) / (trend * expected[:, weeks].sum(axis=1) + PRIOR)
    changes = np.log(np.stack([trend, news]))[..., None].repeat(horizon, axis=-1)

    both = (means > 0) & (level[:, None] > 0)
    told = np.log(np.where(both, means, 1.0) / np.where(both, level[:, None], 1.0)) - changes.sum(axis=0)
    members = np.zeros_like(means)
    for begin, end in pairwise([0, *range(near, horizon, MONTH), horizon]):
        days = slice(begin, end)
        factors[..., days], members[:, days] = _as_forecast(factors[..., days], told[:, days], ahead_kinds[days])
    added = logarithmic_mean(means, level[:, None]) * np.concatenate([changes, factors, members[None]])
    added[-1] += np.where(both, 0.0, means - level[:, None])
    return np.moveaxis(np.concatenate([np.broadcast_to(level[:, None], means.shape)[None], added]), 0, -1)


def _as_forecast(factors: np.ndarray, told: np.ndarray, kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The factors of some days ahead as the forecast has them, and its level beyond them.

    What the members together say of a node differs from the log-linear member alone, first of all in the level of all these days; then they
    see its pattern of holidays, season and weather more strongly or less (one slope, by least squares, drawn towards the same strength), or
    another weekday or free day (its mean, drawn towards no difference as one day would). Each difference goes to the part of that name.

    Args:
        factors: [G, m, D] logs of the log-linear member's factors, D days.
        told: [m, D] log of what the factors should multiply to, were there no rest.
        kinds: [D] kind of each day.

    Returns:
        factors [G, m, D]; log of the level beyond them [m, 1].
    """
    out = factors.copy()
    left = told - factors.sum(axis=0)
    level = left.mean(axis=1, keepdims=True)
    left = left - level
    patterns = [effects.GROUPS.index(name) for name in ("holiday", "season", "weather")]
    pattern = factors[patterns] - factors[patterns].mean(axis=-1, keepdims=True)
    whole = pattern.sum(axis=0)
    slope = (whole * left).sum(axis=1) / ((whole**2).sum(axis=1) + FLAT)
    slope = np.clip(slope, -MOST_STRONGER, MOST_STRONGER)[:, None]
    out[patterns] += slope * pattern
    left = left - slope * whole
    for kind in np.unique(kinds):
        same = kinds == kind
        group = effects.GROUPS.index("holiday" if kind == HOLIDAY_SHAPE else "weekday")
        out[group][:, same] += left[:, same].sum(axis=1, keepdims=True) / (same.sum() + 1.0)
    return out, level


def logarithmic_mean(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(a - b) / (log a - log b) of numbers >= 0: a where they are equal, 0 where one of them is 0."""
    both = (a > 0) & (b > 0)
    ratio = np.log(np.where(both, a, 1.0) / np.where(both, b, 1.0))
    near = np.abs(ratio) < 1e-9
    return np.asarray(np.where(both, b * np.where(near, 1.0, np.expm1(ratio) / np.where(near, 1.0, ratio)), 0.0))


def columns(parts: np.ndarray) -> dict[str, np.ndarray]:
    """Parts [M, H, P] as the `COLUMNS` of a forecast set, node by node; 32-bit numbers of which all but the level have few bits."""
    mantissa, exponent = np.frexp(parts)
    mantissa[..., 1:] = np.round(mantissa[..., 1:] * 2**BITS) / 2**BITS
    stored = np.ldexp(mantissa, exponent).astype(np.float32).reshape(-1, len(COLUMNS))
    return dict(zip(COLUMNS, stored.T, strict=True))


def with_parts(frame: pd.DataFrame) -> pd.DataFrame:
    """Adds every part under its name, `rest` included, to rows of an explained forecast set: they add up to `mean`."""
    told = frame.reindex(columns=list(COLUMNS), fill_value=0.0).to_numpy(float)  # a set of before has fewer parts
    return frame.assign(**dict(zip(PARTS, told.T, strict=True)), **{REST: frame["mean"].to_numpy(float) - told.sum(axis=1)})


def sentences(labels: Labels, area: str, category: str, day: date, mean: float, told: Mapping[str, float], weekly: bool = False) -> tuple[str, str]:
    """One sentence in zh and one in en that names what moves a forecast most.

    Args:
        day: the day, or the first one of the week.
        told: every part by name, see `with_parts`.
        weekly: whether a week is forecast.
    """
    more = mean - told["level"]
    moving = {name: tickets for name, tickets in told.items() if name != "level"}
    least = WORTH_NAMING * sum(map(abs, moving.values()))
    largest = sorted(moving, key=lambda name: -abs(moving[name]))[:SHOWN]
    named = [name for name in largest if abs(moving[name]) >= least and number(abs(moving[name])) != "0"]
    lists = [sep.join(f"{LABELS[name][k]} {_signed(moving[name])}" for name in named) for k, sep in enumerate((",", ", "))]
    why_zh, why_en = (f"{colon}{text}" if text else "" for colon, text in zip((":", ": "), lists, strict=True))
    size = number(abs(more))
    than_zh = "与平常持平" if size == "0" else f"比平常{'多' if more > 0 else '少'} {size} 件"
    than_en = "as many as usual" if size == "0" else f"{size} {'more' if more > 0 else 'fewer'} than usual"
    when_zh = f"{day:%Y-%m-%d} 起一周" if weekly else f"{day:%Y-%m-%d}(周{DAYS_ZH[day.weekday()]})"
    when_en = f"in the week from {day:%Y-%m-%d}" if weekly else f"on {DAYS_EN[day.weekday()]} {day:%Y-%m-%d}"
    zh = f"{labels.of('area', area, 'zh')}“{labels.of('category', category, 'zh')}”{when_zh}预计 {number(mean)} 件,{than_zh}{why_zh}。"
    en = f"{labels.of('category', category, 'en')} in {labels.of('area', area, 'en')} {when_en}: {number(mean)} tickets expected, {than_en}{why_en}."
    return zh, en


def _signed(tickets: float) -> str:
    return f"{'+' if tickets > 0 else '−'}{number(abs(tickets))}"
