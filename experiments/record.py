"""What MLflow is told of a night: one run for the night, one for each member and the blend, and the files that a person looks at."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd

from experiments import compare, metric_names, night, report
from experiments.metric_names import WEEKS, WORTH
from experiments.night import Night
from experiments.report import Before, Verdict
from experiments.tracking import DESCRIPTION, Dataset, Run, code_version
from forecasting.recipe import CHAMPION

NAMES = ("WAPE", "MASE", "WRMSSE", "WQL", "cover80", "cover90", "bias")


def runs(result: Night, tags: Mapping[str, str], members: bool = True) -> list[Run]:
    """The night's run, then (with `members`) one for each member that could learn, and one for the blend of them.

    Names are the same in all of them, see `metric_names`: so nights can be compared with nights, and members with one another, in any view of
    MLflow's.

    Args:
        result: the training.
        tags: what else is known of it: the business date, the gate's result; a `kind` of its own, where it is no night of its own.
    """
    known = result.champion.backtested.known
    date = tags.get("business_date", f"{known.cutoff:%Y-%m-%d}")
    common = {"known_until": f"{known.cutoff:%Y-%m-%d}", "fingerprint": result.fingerprint, "code_version": code_version(), **tags}
    profile = {
        "first_day": f"{known.panel.days[0]:%Y-%m-%d}",
        "last_day": f"{known.cutoff:%Y-%m-%d}",
        "days": len(known.panel.days),
        "series": len(known.panel.series),
        "tickets": int(known.panel.counts[~pd.isna(known.panel.counts)].sum()),
        "drivers": len(known.drivers.names) if known.drivers else 0,
    }
    dataset = Dataset("counts", result.fingerprint, profile)
    told = {"kind": "night", "model": CHAMPION, DESCRIPTION: _description(result), **common}
    metrics = [*_scores(result, CHAMPION), *_of_night(result)]
    parent = Run(f"{told['kind']} {date}", parameters(result), metrics, told, dataset, result.seconds["total"])
    return [parent, *(_children(result, date, common, dataset) if members else ())]


def _children(result: Night, date: str, common: Mapping[str, str], dataset: Dataset) -> Iterator[Run]:
    able = set(result.scores["model"])
    members = {member.name: member.settings() for member in result.recipe.members}
    for name in [CHAMPION, *members]:
        if name in able:
            settings = {f"{name}.{key}": str(value) for key, value in members.get(name, {}).items()}
            tags = {"kind": "blend" if name == CHAMPION else "member", "model": name, **common}
            yield Run(f"{date} {name}", {"model": name, **settings}, list(_scores(result, name)), tags, dataset)


def parameters(result: Night) -> dict[str, str]:
    """The recipe's settings, flat, and the size of what was learnt from."""
    known = result.champion.backtested.known
    size = {"series": len(known.panel.series), "days": len(known.panel.days), "country": known.country, "horizon": result.champion.backtested.horizon}
    return {key: str(value) for key, value in {**result.recipe.settings(), **size}.items()}


def _scores(result: Night, model: str) -> Iterator[tuple[str, float, int]]:
    """A model's scores: the plain mean of the levels, by level, and as a curve by week ahead; skill is 1 - WAPE / WAPE of the better baseline."""
    means = result.scores.loc[result.scores["model"] == model, list(compare.METRICS)].mean()
    yield from ((metric_names.score(compare.EVERY, str(name)), float(value), 0) for name, value in means.dropna().items())
    baselines = [member.name for member in result.recipe.members if member.reference]
    for table, weekly in ((result.scores, False), (result.week_scores, True)):
        keys = ["level", "week"] if weekly else ["level"]
        best = table[table["model"].isin(baselines)].groupby(keys)["WAPE"].min()
        for row in sorted(table[table["model"] == model].to_dict("records"), key=lambda row: compare.LEVELS.index(row["level"])):
            step, section = (int(row["week"]), WEEKS) if weekly else (0, "")
            base = best.get((row["level"], row["week"]) if weekly else row["level"])
            values = {name: row[name] for name in NAMES} | {"skill": 1 - row["WAPE"] / base if base else None}
            told = {metric_names.score(row["level"], name, section=section): value for name, value in values.items() if pd.notna(value)}
            yield from ((name, float(value), step) for name, value in told.items())


def _of_night(result: Night) -> Iterator[tuple[str, float, int]]:
    """Seconds by step, memory, and what each member is worth."""
    yield from ((metric_names.usage(f"seconds.{step}"), value, 0) for step, value in result.seconds.items())
    yield metric_names.usage("peak_mb"), result.peak_mb, 0
    for row in result.worth.dropna().to_dict("records"):
        yield metric_names.score(row["level"], "WRMSSE", row["member"], WORTH), float(row["WRMSSE"]), 0


def _description(result: Night) -> str:
    """What MLflow's page says above the run, as Markdown."""
    table = result.scores[result.scores["model"] == CHAMPION]
    head = "What the champion's forecasts of past windows were worth; `report.html` among the artifacts has the pictures.\n\n"
    if table.empty:
        return "The history is too short for a backtest."
    lines = ["| level | " + " | ".join(NAMES) + " |", "|---" * (len(NAMES) + 1) + "|"]
    lines += [f"| {row['level']} | " + " | ".join(f"{row[name]:.3f}" for name in NAMES) + " |" for row in table.to_dict("records")]
    return head + "\n".join(lines)


def save(result: Night, before: Before | None, drawn: bool, verdict: Verdict | None, folder: Path) -> None:
    """Writes the files of a night: model, scores, the backtest's forecasts, the report.

    Args:
        before: the night before, if there is one.
        drawn: the report has pictures.
        verdict: what the gate said, if it was asked.
        folder: is there, and empty.
    """
    night.save_models(result, folder / "model")
    result.scores.to_csv(folder / "scores.csv", index=False)
    result.week_scores.to_parquet(folder / "week_scores.parquet", index=False)
    result.series_scores.to_parquet(folder / "series_scores.parquet", index=False)
    result.backtest.assign(mean=result.backtest["mean"].round(2)).to_parquet(folder / "backtest.parquet", index=False, compression="zstd")
    (folder / "report.html").write_text(report.page(result, before, drawn, verdict), "utf-8")
