"""The bars of accuracy: none holds on less than it speaks of."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from experiments.benchmarks.accuracy import bars, compare
from experiments.benchmarks.accuracy.bars import COMPARED
from experiments.benchmarks.accuracy.compare import Compared
from experiments.benchmarks.page import Bar
from experiments.benchmarks.panels import REAL, SIMULATED, Panel
from experiments.benchmarks.runs import Record
from forecasting import metrics
from forecasting.forecast_set import with_quantiles
from forecasting.panel import from_counts

DAYS = pd.date_range("2024-09-01", "2024-11-30")
CUTOFFS = [DAYS[-1] - pd.Timedelta(days=7 * k) for k in (4, 3, 2, 1)]
MEAN = {("d1", "HEAT"): 8.0, ("d1", "b"): 2.0, ("d2", "HEAT"): 4.0}
FACTORS = dict(zip(COMPARED, (1.0, 2.0, 1.6, 2.1, 3.0, 1.9, 1.8), strict=True))


def record(seconds: float, memory: float = 100, error: str = "") -> Record:
    return Record("f", seconds, memory, "2026-01-01", 1.0, error)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> list[Compared]:
    """Every panel with every model; the champion, which knows the means, is the best."""
    rng = np.random.default_rng(1)
    folder = tmp_path_factory.mktemp("panels")
    made = []
    for i, name in enumerate([*REAL, *SIMULATED]):
        parts = [pd.DataFrame({"district": d, "category": c, "date": DAYS, "count": rng.poisson(m, len(DAYS))}) for (d, c), m in MEAN.items()]
        pd.concat(parts).to_parquet(folder / f"{name}.parquet")
        nodes = metrics.actuals(from_counts(pd.concat(parts)))[["district", "category"]].drop_duplicates()
        days = pd.DataFrame([(c, c + pd.Timedelta(days=h)) for c in CUTOFFS for h in range(1, 8)], columns=["cutoff", "date"])
        rows = nodes.merge(days, how="cross")
        mean = np.array([sum(m for (d, c), m in MEAN.items() if r.district in (d, "ALL") and r.category in (c, "ALL")) for r in rows.itertuples()])
        frames = {model: with_quantiles(rows.assign(mean=mean * factor, dispersion=0.0, model=model)) for model, factor in FACTORS.items()}
        rates = None
        if name in SIMULATED:
            rates = folder / f"{name}-rates.parquet"
            pd.concat(
                [pd.DataFrame({"district": d, "category": c, "date": DAYS, "rate_without_incidents": m}) for (d, c), m in MEAN.items()]
            ).to_parquet(rates)
        made.append(Compared(Panel(name, folder / f"{name}.parquet", None, rates, "US"), i, frames, dict.fromkeys(frames, record(1)), ()))
    return made


def but(panels: list[Compared], name: str, change: Callable[[Compared], Compared | None]) -> list[Compared]:
    """The panels, one of them changed or taken away."""
    made = [change(p) if p.panel.name == name else p for p in panels]
    return [p for p in made if p]


def without(model: str) -> Callable[[Compared], Compared]:
    return lambda p: replace(p, frames={name: frame for name, frame in p.frames.items() if name != model})


def outdated(model: str) -> Callable[[Compared], Compared]:
    return lambda p: replace(p, outdated=(model,))


def lines(panels: list[Compared]) -> dict[str, Bar]:
    made = bars.of_real(panels) + bars.of_simulated(panels) + bars.of_calibration(panels)
    assert len({bar.what for bar in made}) == len(made)
    return {bar.what: bar for bar in made}


def test_with_every_panel_and_model_every_bar_is_measured(everything: list[Compared]) -> None:
    made = lines(everything)
    assert {bar.holds for bar in made.values()} <= {True, False}
    assert not [bar for bar in made.values() if "partial" in bar.reached]
    assert made["mean of the 5 real panels: WRMSSE against AutoETS"].holds
    assert made["mean of their 3 sources: WRMSSE against AutoETS"].holds


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("boston-311-pest", lambda p: None, "lacking boston-311-pest; partial (4 of 5): -"),
        ("boston-311-pest", without("champion"), "lacking boston-311-pest (champion); partial (4 of 5): -"),
        ("boston-311-pest", without("AutoETS"), "lacking boston-311-pest (AutoETS); partial (4 of 5): -"),
        ("boston-311-pest", without("MSTL"), "lacking boston-311-pest (MSTL); partial (5 of 5): -"),
        ("chicago-311-sanitation", outdated("Prophet"), "lacking chicago-311-sanitation (Prophet outdated); partial (5 of 5): -"),
    ],
    ids=["a panel", "its champion", "its best peer", "its worst peer", "a run of the present code"],
)
def test_a_mean_over_real_panels_is_not_measured_without(
    everything: list[Compared], name: str, change: Callable[[Compared], Compared | None], said: str
) -> None:
    made = lines(but(everything, name, change))
    means = [bar for what, bar in made.items() if what.startswith("mean of the 5")]
    assert len(means) == 12
    for bar in means:
        assert bar.holds is None
        assert said in bar.reached
    assert made["each real panel at each level, WRMSSE and WQL, against the best peer there"].holds is None
    sources = made["mean of their 3 sources: WRMSSE against AutoETS"]
    assert (sources.holds, "partial (3 of 3)" in sources.reached) == (None, True)


def test_a_panel_needs_the_champion_and_both_of_the_average_alone(everything: list[Compared]) -> None:
    what = "boston-311-pest: WQL against Prophet+AutoETS"
    assert lines(but(everything, "boston-311-pest", without("MSTL")))[what].holds
    for change in (without("Prophet"), without("AutoETS"), without("champion"), outdated("champion"), outdated("AutoETS")):
        made = lines(but(everything, "boston-311-pest", change))
        assert made[what].holds is None
        assert "boston-311-pest" in made[what].reached
        assert made["boston-311-rodent: WQL against Prophet+AutoETS"].holds


def test_bars_of_the_city_need_all_peers(everything: list[Compared]) -> None:
    for model in ("MSTL", "LGBM"):
        made = lines(but(everything, "city-1.0", without(model)))
        of_city = [bar for what, bar in made.items() if what.startswith("city-1.0") and "knows the rates" not in what]
        assert len(of_city) == 4
        assert {bar.holds for bar in of_city} == {None}
        assert all(f"lacking city-1.0 ({model}); partial: " in bar.reached for bar in of_city)


def test_calibration_is_not_measured_on_some_panels(everything: list[Compared]) -> None:
    for name in ("boston-311-pest", "city-0.1"):
        made = bars.of_calibration(but(everything, name, without("champion")))
        assert {bar.holds for bar in made} == {None}
        assert all("partial (6 of 7): " in bar.reached for bar in made)


def test_without_any_panel_every_bar_stands_there_and_none_is_measured() -> None:
    made = lines([])
    assert {bar.holds for bar in made.values()} == {None}
    assert {"city-0.1", "city-1.0", *REAL} <= {what.split(":")[0] for what in made}


def test_the_mean_over_sources_counts_the_slices_of_one_file_once(everything: list[Compared]) -> None:
    off = but(
        everything, "chicago-burglary-2011-14", lambda p: replace(p, frames=p.frames | {"champion": p.frames["Prophet"].assign(model="champion")})
    )
    share = {p.panel.name: p.draws["champion", "all"]["WQL"].iloc[0] for p in off if p.panel.name in REAL}
    peer = {p.panel.name: p.draws["AutoETS", "all"]["WQL"].iloc[0] for p in off if p.panel.name in REAL}

    def by_hand(score: dict[str, float]) -> float:
        boston = np.mean([value for name, value in score.items() if name.startswith("boston")])
        return float(np.mean([boston, score["chicago-311-sanitation"], score["chicago-burglary-2011-14"]]))

    made = lines(off)["mean of their 3 sources: WQL against AutoETS"]
    assert made.reached.startswith(f"{100 * (by_hand(share) / by_hand(peer) - 1):+.1f} % (")
    assert made.reached.endswith("with every level known beforehand)")


def test_bars_of_time_compare_what_was_run() -> None:
    def holds(records: dict[str, Record]) -> list[bool | None]:
        return [bar.holds for bar in bars.of_time(records)]

    assert holds({"champion": record(5), "AutoETS": record(6), "night-448": record(179, 1999), "night-20000": record(901)}) == [True, True, False]
    assert holds({"champion": record(7), "AutoETS": record(6), "night-448": record(100, 2001)}) == [False, False, None]
    assert holds({"champion": record(7, error="exit 1"), "night-448": record(1, error="exit 1")}) == [None, False, None]


def test_time_measured_with_other_code_is_said_and_holds_nothing() -> None:
    made = bars.of_time({"champion": record(5), "AutoETS": record(6), "night-448": record(9)}, ["champion", "night-448"])
    assert [bar.holds for bar in made] == [None, None, None]
    assert "champion outdated; partial: champion 5" in made[0].reached
    assert "night-448 outdated; partial: 9 s" in made[1].reached


def test_what_lacks_is_named_panel_by_panel(everything: list[Compared]) -> None:
    some = but(but(everything, "boston-311-pest", without("MSTL")), "city-1.0", lambda p: None)
    assert compare.missing(some, ["boston-311-pest", "boston-311-rodent", "city-1.0"], COMPARED) == "boston-311-pest (MSTL); city-1.0"
