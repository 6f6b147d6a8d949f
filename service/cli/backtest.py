"""`weisu backtest`: one recipe, two side by side, or a sweep; printed, written and, if wanted, tracked in MLflow."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from forecasting.errors import InputError
from service.cli import options
from service.settings import Settings, load_settings

if TYPE_CHECKING:  # commands import what they need when they run
    import pandas as pd

    from experiments.rolling import Request
    from experiments.trials import Trial, Tried

CLEAREST = 5  # categories that are printed; the others are in comparison.parquet


def backtest(
    cutoffs: Annotated[str, typer.Option(help="Last days known, as 2018-07-31,2018-10-07.")],
    out: Annotated[Path, typer.Option(help="Folder for forecasts.parquet and scores.parquet.")],
    counts: Annotated[Path | None, typer.Option(help="Counts: district, category, date, count.")] = None,
    tickets: Annotated[Path | None, typer.Option(help="Tickets: ticket_id, created_at, district, category.")] = None,
    horizon: Annotated[int, typer.Option(help="Days ahead.")] = 28,
    drivers: Annotated[Path | None, typer.Option(help="Drivers: name, date, value, optional district, issued_at.")] = None,
    country: Annotated[str, typer.Option(help="Whose holidays (ISO 3166), or none; left out, the setting.")] = "",
    config: Annotated[Path | None, typer.Option(help="A recipe; left out, the default one.")] = None,
    compare: Annotated[Path | None, typer.Option(help="Another recipe: is it better? Each has a folder of its own in --out, a and b.")] = None,
    sweep: Annotated[Path | None, typer.Option(help="A grid of settings: every combination against the recipe, a folder each.")] = None,
    models: Annotated[str, typer.Option(help="champion and members of the recipe, as champion,prophet.")] = "champion",
    seed: Annotated[int, typer.Option(help="The same inputs and seed give the same bytes.")] = 0,
    track: Annotated[bool, typer.Option("--track", help="Record it in MLflow, experiment weisu-backtests.")] = False,
) -> None:
    """Forecast as if standing at each cutoff, write the forecasts, and score them where there are actuals."""
    import signal

    from experiments import rolling
    from experiments import trials as several

    if compare and sweep:
        raise InputError("--compare and --sweep", "backtest", "give one of them")
    settings = load_settings()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it ends its workers
    request = rolling.Request(
        counts=counts,
        tickets=tickets,
        drivers=drivers,
        cutoffs=tuple(cutoffs.split(",")),
        horizon=horizon,
        country=country or settings.country,
        zone=settings.timezone,
        config=config,
        models=tuple(name.strip() for name in models.split(",")),
        seed=seed,
        workers=settings.workers,
        scheduler=settings.dask_scheduler,
    )
    trials = _trials(config, compare, sweep)
    plain = len(trials) == 1 and not track
    with options.progress("backtesting", total=len(trials) * len(request.cutoffs)) as bar:
        tried = [] if plain else several.run(trials, request, out, bar, options.console.print, _say_finished if sweep else None)
        scores = rolling.run(request, out, bar, options.console.print) if plain else tried[0].scores
    tables: dict[str, pd.DataFrame] = {}
    said = ""
    if len(trials) == 1:
        print(scores.round(4).to_string(index=False) if len(scores) else f"no actuals after the cutoffs: forecasts only, in {out}")
    else:
        ranking, comparison = several.ranked(tried, horizon)
        tables = {"comparison": comparison, "differences": several.differences(tried), "ranking": ranking}
        several.write(tables, out)
        said = several.conclusion(tried, ranking, horizon)
        if sweep:
            _print_ranking(ranking)
        else:
            _print_comparison(comparison)
        print(said)
    if track:
        _track(tried, request, settings, tables, said)


def _trials(config: Path | None, compare: Path | None, sweep: Path | None) -> list["Trial"]:
    """The recipe, and what it is compared with. InputError if that is the same, or cannot be read."""
    from experiments import recipes
    from experiments import sweep as grid
    from experiments.trials import Trial

    recipe, label = recipes.load(config), (config or Path(recipes.DEFAULT)).stem
    if sweep:
        return grid.load(sweep, recipe, label)
    if not compare:
        return [Trial("a", label, recipe)]
    other = recipes.load(compare)
    if other.mapping() == recipe.mapping():
        raise InputError("is the same recipe as that of --config", str(compare), "give one that differs from it")
    names = (label, compare.stem) if label != compare.stem else (str(config or recipes.DEFAULT), str(compare))
    return [Trial("a", names[0], recipe), Trial("b", names[1], other)]


def _say_finished(one: "Tried") -> None:
    """A sweep takes long: whoever looks sees what is done, and whether to go on."""
    from experiments.compare import EVERY, HEADLINE

    means = one.scores[one.scores["level"] == EVERY].set_index("model")[HEADLINE]
    told = ", ".join(f"{HEADLINE} {mean:.4f} ({model})" for model, mean in means.items())
    options.console.print(f"{one.trial.name} {one.trial.label}: {told}", markup=False)


def _track(tried: Sequence["Tried"], request: "Request", settings: Settings, tables: dict[str, "pd.DataFrame"], said: str) -> None:
    from experiments import backtest_tracking as tracking

    folder = settings.data_dir / "mlflow"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        run_id = tracking.record(tried, request, settings.tracking_uri, folder / "artifacts", tables, said)
    except (tracking.NotTracked, OSError) as error:
        options.console.print(f"not tracked, MLflow could not be used: {error}; the results are written all the same", markup=False)
        return
    options.console.print(f"tracked: MLflow experiment {tracking.EXPERIMENT}, run {run_id}; `weisu mlflow` shows it")


def _print_comparison(table: "pd.DataFrame") -> None:
    """The levels, and the categories in which the two differ most clearly."""
    from experiments.compare import HEADLINE
    from forecasting.hierarchy import ALL

    levels = table[table["category"] == ALL]
    several = len(table["model"].unique()) > 1
    print(_told(levels)[[*(["model"] if several else []), "level", "metric", "a", "b", "b - a", "95 %", "p", "b is"]].to_string(index=False))
    single = table[(table["category"] != ALL) & (table["metric"] == HEADLINE) & (table["model"] == levels["model"].iloc[0])]
    if len(single):
        print(f"\nby category, {HEADLINE}: the clearest of {len(single)}; p as it counts among so many")
        clearest = single.sort_values("p", kind="stable").head(CLEAREST)
        clearest = clearest.assign(p=clearest["p_adjusted"])
        print(_told(clearest)[["category", "a", "b", "b - a", "95 %", "p", "b is"]].to_string(index=False))
    print()


def _print_ranking(ranking: "pd.DataFrame") -> None:
    table = _told(ranking.assign(p=ranking["p_adjusted"]))
    table = table.rename(columns={"b - a": "to base", "b is": ""})
    print(table[["rank", "trial", "WRMSSE", "WAPE", "WQL", "to base", "95 %", "p", "", "label"]].to_string(index=False))
    print()


def _told(rows: "pd.DataFrame") -> "pd.DataFrame":
    """A comparison as it is printed: shares of a's score, the interval in one column."""
    import pandas as pd

    def percent(column: str) -> "pd.Series":
        return rows[column].map(lambda x: "" if pd.isna(x) else f"{x:+.1%}")

    interval = (percent("low") + " to " + percent("high")).where(rows["low"].notna(), "")
    p = rows["p"].map(lambda x: "" if pd.isna(x) else f"{x:.3f}")
    return rows.round(4).assign(**{"b - a": percent("difference"), "95 %": interval, "p": p, "b is": rows["verdict"]})
