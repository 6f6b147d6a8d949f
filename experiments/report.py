"""The report of a night: one page of HTML that needs nothing else, for the person who asks where the model is wrong and what has changed."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd

from experiments import gate_note, pictures
from experiments.night import Night
from forecasting.hierarchy import ALL
from forecasting.recipe import CHAMPION

NAMES = ["WRMSSE", "WAPE", "WQL", "cover80", "cover90", "bias"]
CHANGED = 12  # categories that are named
ABSENT = "–"  # of a setting that a recipe does not have
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
        recipe: the champion's, as `Recipe.mapping` has it.
    """

    business_date: str
    scores: pd.DataFrame
    forecasts: pd.DataFrame
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Verdict:
    """What the gate said of a night.

    Attributes:
        checks: as `gate.Check.told` has them.
        outcome: what came of it, in a sentence or two.
    """

    checks: Sequence[Mapping[str, Any]]
    outcome: str


def page(result: Night, before: Before | None = None, drawn: bool = True, verdict: Verdict | None = None) -> str:
    """The report as HTML.

    Args:
        before: the night whose forecasts were published until now; None: there was none.
        drawn: with pictures; they take seconds.
        verdict: what the gate said; None: it was not asked.
    """
    known = result.champion.backtested.known
    sections = [("What changed", "", _changes(result, before))]
    if verdict is not None:
        sections.append(("The gate", escape(verdict.outcome), _checks(verdict.checks)))
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
    """The recipe, its scores, and its forecasts of the days that both nights forecast, against those of the night before."""
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
    return _recipe(result.recipe.mapping(), before.recipe) + words


def _recipe(now: Mapping[str, Any], before: Mapping[str, Any]) -> str:
    """The settings in which a recipe differs from the champion's."""
    new, old = _flat(now), _flat(before)
    different = [[key, old.get(key, ABSENT), new.get(key, ABSENT)] for key in {**old, **new} if old.get(key) != new.get(key)]
    if not different:
        return "<p>The recipe is the champion's.</p>"
    return f"<p>Settings that differ from those of the champion's recipe.</p>{_texts(['', 'before', 'now'], different)}"


def _flat(mapping: Mapping[str, Any], within: str = "") -> dict[str, str]:
    """Nested settings as texts under dotted names; a member that has none is named all the same."""
    flat: dict[str, str] = {}
    for key, value in mapping.items():
        inner = _flat(value, f"{within}{key}.") if isinstance(value, Mapping) else {f"{within}{key}": str(value)}
        flat |= inner or {f"{within}{key}": "without settings"}
    return flat


def _checks(checks: Sequence[Mapping[str, Any]]) -> str:
    rows = [
        [
            gate_note.NAMES[check["name"]][1],
            gate_note.PLACES.get(check["where"], ("", ""))[1],
            gate_note.number(check["name"], check["measured"]),
            f"at {'least' if check['at_least'] else 'most'} {gate_note.number(check['name'], check['limit'])}",
            "yes" if check["passed"] else "no",
        ]
        for check in checks
    ]
    return _texts(["", "where", "measured", "allowed", "passed"], rows)


def _table(frame: pd.DataFrame, digits: int, sign: str = "") -> str:
    values = frame.to_numpy(float)
    return _texts(
        ["", *frame.columns], ([key, *(f"{value:{sign},.{digits}f}" for value in row)] for key, row in zip(frame.index, values, strict=True))
    )


def _texts(names: Iterable[object], rows: Iterable[Iterable[object]]) -> str:
    """A table of texts, whatever stands in them."""
    head = "".join(f"<th>{escape(str(name))}</th>" for name in names)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(value))}</td>' for value in row)}</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"
