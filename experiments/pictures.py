"""Pictures of a night, each as one SVG: its letters are letters, which a browser shows in any script."""

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from experiments.night import Night
from forecasting import effects, explanation
from forecasting.distribution import LEVELS, QUANTILE_NAMES, quantiles
from forecasting.hierarchy import ALL
from forecasting.metrics import KEYS
from forecasting.models.boosting import FittedBoosting
from forecasting.recipe import CHAMPION

DAYS_AT_MOST = 20_000  # forecasts of a level that a picture of calibration looks at: a share is told to within 0.7 points, thinner than its line
BARS = 30  # categories or features in one picture
CHARTS, COLUMNS = 20, 4  # series that are shown
LEAST_A_DAY = 1.0  # tickets: of a smaller series a ratio tells chance
BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#6b7280"
PARTS = effects.GROUPS


def calibration(result: Night) -> str:
    """How often what came lay at or below each quantile, by level, against how often it should; empty without a backtest."""
    with _figure(6, 4.5) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="right")
        for level, rows in result.backtest.dropna(subset="count").groupby("level", observed=True):
            some = rows.iloc[:: max(1, len(rows) // DAYS_AT_MOST)]
            below = quantiles(some["mean"].to_numpy(float), some["dispersion"].to_numpy(float))
            count = some["count"].to_numpy()[:, None]
            share = (count < below).mean(axis=0) + (count == below).mean(axis=0) / 2  # a whole number that is met counts by half
            axes.plot(LEVELS, share, marker="o", markersize=4, label=str(level))
        axes.set(xlabel="quantile", ylabel="share of days below it", xticks=LEVELS, xticklabels=QUANTILE_NAMES)
        axes.legend()
        return _svg(figure)


def weeks(result: Night) -> str:
    """WAPE by week ahead of champion and baselines, by level."""
    shown = [CHAMPION, *(member.name for member in result.recipe.members if member.reference)]
    table = result.week_scores[result.week_scores["model"].isin(shown)]
    levels = list(dict.fromkeys(table["level"]))
    with _figure(3 * max(len(levels), 1), 2.8) as figure:
        for axes, level in zip(figure.subplots(1, max(len(levels), 1), squeeze=False)[0], levels, strict=False):
            for name in shown:
                rows = table[(table["model"] == name) & (table["level"] == level)]
                axes.plot(rows["week"], rows["WAPE"], marker="o", markersize=4, label=name)
            axes.set(title=level, xlabel="week ahead", ylabel="WAPE", xticks=sorted(table["week"].unique()), ylim=(0, None))
        figure.axes[0].legend(fontsize=7)
        return _svg(figure)


def skill_by_category(result: Night) -> str:
    """By how much the champion's WAPE is below the better baseline's, of every category in the whole city; of many, the best and worst."""
    table = result.category_scores.pivot_table(index="category", columns="model", values="WAPE")
    if CHAMPION not in table:
        return ""  # no ticket in any window
    skill = (1 - table[CHAMPION] / table.drop(columns=CHAMPION).min(axis=1)).dropna().sort_values()
    if len(skill) > BARS:
        skill = pd.concat([skill.iloc[: BARS // 2], skill.iloc[-BARS // 2 :]])
    return _bars(skill, "skill: 1 - WAPE / WAPE of the better baseline")


def worst_series(result: Night) -> str:
    """What came, the champion's mean and its 80 % interval, in the windows of the backtest, of the series with the greatest RMSSE."""
    rows = result.backtest[result.backtest["level"] == "series"]
    mean = rows.groupby(KEYS, observed=True)["count"].mean()
    large = set(mean.index[mean >= LEAST_A_DAY])
    scores = result.series_scores[result.series_scores["model"] == CHAMPION].set_index(KEYS)["WRMSSE"]
    worst = scores[[place in large for place in scores.index]].nlargest(CHARTS)
    if worst.empty:
        return ""
    lines = math.ceil(len(worst) / COLUMNS)
    for key in KEYS:
        rows = rows[rows[key].isin(worst.index.get_level_values(key))]  # first what is fast among millions of rows
    days = dict(iter(rows.astype(dict.fromkeys(KEYS, str)).groupby(KEYS)))
    with _figure(3.2 * COLUMNS, 1.9 * lines, layout=None) as figure:  # to fit margins around so many charts takes longer than to draw them
        margins = {"left": 0.03, "right": 0.99, "bottom": 0.25 / (1.9 * lines), "top": 1 - 0.25 / (1.9 * lines), "wspace": 0.15, "hspace": 0.4}
        grid = figure.subplots(lines, COLUMNS, squeeze=False, gridspec_kw=margins).ravel()
        for axes, district, category, score in zip(grid, *(worst.index.get_level_values(key) for key in KEYS), worst, strict=False):
            _chart(axes, days[district, category], f"{district} × {category}   {score:.2f}")
        for axes in grid[len(worst) :]:
            axes.set_axis_off()
        return _svg(figure)


def _chart(axes: Axes, days: pd.DataFrame, title: str) -> None:
    days = days.sort_values(["date", "horizon"]).drop_duplicates("date")  # short histories have windows that overlap: the nearest forecast
    low, high = quantiles(days["mean"].to_numpy(float), days["dispersion"].to_numpy(float), (0.1, 0.9)).T
    dates = days["date"].to_numpy()
    axes.fill_between(dates, low, high, color=BLUE, alpha=0.2, linewidth=0)
    axes.plot(dates, days["mean"], color=BLUE, linewidth=1)
    axes.plot(dates, days["count"], color=ORANGE, linewidth=0.8)
    axes.set_title(title, fontsize=8)
    axes.tick_params(labelsize=6)
    locator = AutoDateLocator(maxticks=4)  # type: ignore[no-untyped-call]
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))  # type: ignore[no-untyped-call]


def parts_ahead(result: Night) -> str:
    """What weekday, holidays, season and weather add to the whole city's forecast of each day ahead."""
    frame = result.forecast_set.frame
    city = explanation.with_parts(frame[(frame["area"] == ALL) & (frame["category"] == ALL)].sort_values("date"))
    with _figure(8, 3) as figure:
        axes = figure.subplots()
        above, below = np.zeros(len(city)), np.zeros(len(city))
        for name in PARTS:
            added = city[name].to_numpy(float)
            base = np.where(added >= 0, above, below)
            axes.bar(city["date"], added, bottom=base, width=0.8, label=name)
            above, below = above + np.maximum(added, 0), below + np.minimum(added, 0)
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.set(ylabel="tickets a day")
        axes.legend(fontsize=7, ncols=len(PARTS))
        axes.tick_params(axis="x", rotation=30)
        return _svg(figure)


def features(result: Night) -> str:
    """The features by which the booster's trees part most, by their share of the gain; empty without a booster."""
    booster = next((fitted for fitted in result.champion.backtested.fitted if isinstance(fitted, FittedBoosting)), None)
    if booster is None:
        return ""
    gain = pd.Series(booster.booster.feature_importance("gain"), index=list(booster.names))
    return _bars((gain / max(gain.sum(), 1e-9)).nlargest(BARS // 2).iloc[::-1], "share of the gain")


def _bars(values: "pd.Series[float]", label: str) -> str:
    if values.empty:
        return ""
    with _figure(7, 0.6 + 0.22 * len(values)) as figure:
        axes = figure.subplots()
        axes.barh(np.arange(len(values)), values.to_numpy(float), color=[BLUE if value >= 0 else ORANGE for value in values])
        axes.set(xlabel=label, yticks=np.arange(len(values)), yticklabels=[str(name) for name in values.index])
        axes.tick_params(axis="y", labelsize=7)
        axes.axvline(0, color=GREY, linewidth=0.8)
        return _svg(figure)


@contextmanager
def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Iterator[Figure]:
    """A figure of inches; nothing of it is global, so that it may be drawn beside other work."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "weisu", "text.parse_math": False, "font.size": 8}), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of letters that matplotlib lacks: the browser has them
        yield Figure(figsize=(width, height), layout=layout)


def _svg(figure: Figure) -> str:
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
