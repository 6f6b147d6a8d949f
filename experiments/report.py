"""The report of a night: one page of HTML that needs nothing else, for the person who asks where the model is wrong and what has changed."""

from dataclasses import dataclass
from html import escape

import pandas as pd

from experiments import pictures
from experiments.night import Night
from forecasting.hierarchy import ALL
from forecasting.recipe import CHAMPION

NAMES = ["WRMSSE", "WAPE", "WQL", "cover80", "cover90", "bias"]
CHANGED = 12  # categories that are named
STYLE = "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:68em;padding:0 1em}svg{max-width:100%;height:auto}\
table{border-collapse:collapse}td,th{padding:.2em .8em;text-align:right;border-bottom:1px solid #ddd}th:first-child,td:first-child{text-align:left}\
p{color:#444;max-width:48em}"


@dataclass(frozen=True)
class Before:
    """The night before, to be compared with.

    Attributes:
        business_date: its day.
        scores: `model`, `level` and scores, as the ledger keeps them.
        forecasts: `area`, `category`, `date`, `mean` of the set that it published.
    """

    business_date: str
    scores: pd.DataFrame
    forecasts: pd.DataFrame


def page(result: Night, before: Before | None = None, drawn: bool = True) -> str:
    """The report as HTML.

    Args:
        before: the night whose forecasts were published until now; None: there was none.
        drawn: with pictures; they take seconds.
    """
    known = result.champion.backtested.known
    sections = [("What changed", "", _changes(result, before))]
    if len(result.scores):
        sections.append(("Scores", "Of forecasts of past windows by weights learnt from the others.", _table(_champion(result.scores), 3)))
    if drawn:
        sections += _pictures(result)
    body = "".join(f"<h2>{title}</h2>{f'<p>{words}</p>' if words else ''}{content}" for title, words, content in sections if content)
    head = f"Known until {known.cutoff:%Y-%m-%d}"
    about = f"{len(known.panel.series):,} series over {len(known.panel.days):,} days; trained in {result.seconds['total']:.0f} s."
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{head}</title><style>{STYLE}</style>'
        f"<h1>{head}</h1><p>{about} Fingerprint {result.fingerprint[:12]}.</p>{body}</html>\n"
    )


def _pictures(result: Night) -> list[tuple[str, str, str]]:
    """Title, words and picture of each section that has one."""
    drawn = []
    if len(result.scores):
        worst = f"Greatest RMSSE of those with {pictures.LEAST_A_DAY:g} ticket a day or more. Orange: what came; blue: mean and 80 % interval."
        drawn = [
            ("By week ahead", "", pictures.weeks(result)),
            ("Calibration", "On the line: as often below a quantile as it says.", pictures.calibration(result)),
            ("Skill by category", "Below 0 the champion is worse than a mean of past weeks.", pictures.skill_by_category(result)),
            ("The worst series", worst, pictures.worst_series(result)),
        ]
    return [
        *drawn,
        ("What calendar and weather add", "To the forecast of the whole city.", pictures.parts_ahead(result)),
        ("What the booster looks at", "", pictures.features(result)),
    ]


def _champion(scores: pd.DataFrame) -> pd.DataFrame:
    return scores[scores["model"] == CHAMPION].set_index("level")[NAMES] if len(scores) else pd.DataFrame(columns=NAMES)


def _changes(result: Night, before: Before | None) -> str:
    """The champion's scores and its forecasts of the days that both nights forecast, against those of the night before."""
    if before is None:
        return "<p>There was no night before.</p>"
    now, then = (frame.loc[frame["area"] == ALL, ["category", "date", "mean"]] for frame in (result.forecast_set.frame, before.forecasts))
    both = now.merge(then, on=["category", "date"], suffixes=("", "_before"))
    sums = both.groupby("category")[["mean_before", "mean"]].sum()
    days = both["date"].nunique()
    sums["change"] = sums["mean"] - sums["mean_before"]
    largest = sums.loc[sums["change"].abs().nlargest(CHANGED).index]
    named = largest.rename(columns={"mean_before": before.business_date, "mean": "now"})
    words = f"<p>Tickets of the {days} days that both forecast, in the categories that changed most.</p>{_table(named, 1)}" if days else ""
    new, old = _champion(result.scores), _champion(before.scores)
    scores = (new - old.reindex(new.index)).dropna(how="all")
    if len(scores):
        words = f"<p>Scores now minus those of {escape(before.business_date)}.</p>{_table(scores, 4, '+')}" + words
    return words


def _table(frame: pd.DataFrame, digits: int, sign: str = "") -> str:
    head = "".join(f"<th>{escape(str(name))}</th>" for name in ["", *frame.columns])
    rows = "".join(
        f"<tr><td>{escape(str(key))}</td>{''.join(f'<td>{value:{sign},.{digits}f}</td>' for value in row)}</tr>"
        for key, row in zip(frame.index, frame.to_numpy(float), strict=True)
    )
    return f"<table><tr>{head}</tr>{rows}</table>"
