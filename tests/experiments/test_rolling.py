"""The backtest of the command line: files in, the contract's table out."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tables

from experiments import rolling
from experiments.rolling import Request
from forecasting.errors import InputError
from forecasting.models.boosting import Boosting

COLUMNS = ["district", "category", "cutoff", "date", "horizon", "model", "mean", "q05", "q10", "q25", "q50", "q75", "q90", "q95"]
DAYS = 170
CUTOFFS = ("2024-07-20", "2024-08-06")
LATE = pd.Timestamp("2024-08-01")  # the day on which a pair is first named: between the cutoffs
HORIZON = 10


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one city: tickets and counts, CSV and Parquet, drivers, a quick recipe."""
    path = tmp_path_factory.mktemp("city")
    tickets = tables.tickets(DAYS)
    late = pd.DataFrame({"created_at": LATE + pd.to_timedelta(range(12), unit="h"), "district": "d3", "category": "NEW"})
    tickets = pd.concat([tickets, late.assign(ticket_id=[f"N{i}" for i in range(12)])])
    counts = tables.counts(tickets)
    tables.write(tickets, path / "tickets.csv")
    tables.write(pd.concat([tickets, tickets.tail(30)]), path / "tickets.parquet")
    tables.write(counts, path / "counts.parquet")
    tables.write(counts.sample(frac=1, random_state=1), path / "counts.csv")
    dates = pd.date_range(tables.START, periods=DAYS)
    tables.write(pd.DataFrame({"name": "t", "date": dates, "value": np.sin(np.arange(DAYS) / 20)}), path / "drivers.csv")
    (path / "quick.yaml").write_text(tables.QUICK)
    return path


@pytest.fixture(scope="session")
def request_(folder: Path) -> Request:
    return Request(CUTOFFS, counts=folder / "counts.csv", config=folder / "quick.yaml", horizon=HORIZON, country="none", workers=1)


def run(request: Request, out: Path) -> pd.DataFrame:
    rolling.run(request, out)
    return pd.read_parquet(out / "forecasts.parquet")


@pytest.fixture(scope="session")
def made(request_: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "deeper" / "still"
    rolling.run(replace(request_, models=("champion", "four_week_mean", "boosting")), out)
    return out


@pytest.fixture(scope="session")
def forecasts(made: Path) -> pd.DataFrame:
    return pd.read_parquet(made / "forecasts.parquet")


def nodes(*pairs: tuple[str, str]) -> set[tuple[str, str]]:
    """The pairs, and every sum of them."""
    return {node for d, c in pairs for node in ((d, c), (d, "ALL"), ("ALL", c), ("ALL", "ALL"))}


OLD = [("d1", "HEAT"), ("d1", "NOISE"), ("d2", "HEAT"), ("d2", "NOISE")]


def test_columns_are_exactly_those_of_the_contract(forecasts: pd.DataFrame) -> None:
    assert list(forecasts.columns) == COLUMNS
    assert pd.api.types.is_datetime64_any_dtype(forecasts["cutoff"])
    assert pd.api.types.is_datetime64_any_dtype(forecasts["date"])
    assert pd.api.types.is_integer_dtype(forecasts["horizon"])


def test_there_is_one_row_for_each_model_cutoff_day_and_node(forecasts: pd.DataFrame) -> None:
    assert not forecasts.duplicated(["model", "cutoff", "district", "category", "date"]).any()
    assert set(forecasts["model"]) == {"champion", "four_week_mean", "boosting"}
    assert set(forecasts["cutoff"]) == {pd.Timestamp(c) for c in CUTOFFS}
    for (_, cutoff), rows in forecasts.groupby(["model", "cutoff"]):
        known = OLD if cutoff < LATE else [*OLD, ("d3", "NEW")]
        assert set(rows[["district", "category"]].itertuples(index=False, name=None)) == nodes(*known)
        assert len(rows) == HORIZON * len(nodes(*known))
    days = (forecasts["date"] - forecasts["cutoff"]).dt.days
    assert (days == forecasts["horizon"]).all()
    assert sorted(forecasts["horizon"].unique()) == list(range(1, HORIZON + 1))


def test_forecasts_are_finite_ordered_and_add_up(forecasts: pd.DataFrame) -> None:
    numbers = forecasts[COLUMNS[6:]].to_numpy()
    assert np.isfinite(numbers).all()
    assert (numbers >= 0).all()
    assert (np.diff(numbers[:, 1:], axis=1) >= 0).all()
    bottom = forecasts[(forecasts["district"] != "ALL") & (forecasts["category"] != "ALL")]
    window = ["model", "cutoff", "date"]
    for kept in ([], ["district"], ["category"]):
        sums = bottom.groupby([*window, *kept])["mean"].sum()
        here = (forecasts["district"].ne("ALL") == ("district" in kept)) & (forecasts["category"].ne("ALL") == ("category" in kept))
        got = forecasts[here].set_index([*window, *kept])["mean"]
        np.testing.assert_allclose(got.sort_index(), sums.sort_index(), atol=1e-6, rtol=0)


def test_scores_are_written_for_each_model_and_level(made: Path) -> None:
    scores = pd.read_parquet(made / "scores.parquet")
    assert set(scores[["model", "level"]].itertuples(index=False, name=None)) == {
        (m, level) for m in ("champion", "four_week_mean", "boosting") for level in ("city", "district", "category", "series", "all")
    }
    assert {"WRMSSE", "WAPE", "WQL", "MASE", "cover80", "cover90", "bias"} <= set(scores.columns)
    city = scores[scores["level"] == "city"]
    assert (city["rows"] == HORIZON * 2).all()
    assert (city["WAPE"] < 0.5).all()


def test_the_same_inputs_and_seed_give_the_same_bytes(request_: Request, tmp_path: Path) -> None:
    digests = set()
    for name in ("one", "two"):
        rolling.run(replace(request_, seed=3), tmp_path / name)
        digests.add(tuple(hashlib.sha256((tmp_path / name / f"{f}.parquet").read_bytes()).hexdigest() for f in ("forecasts", "scores")))
    assert len(digests) == 1


def test_another_seed_gives_other_forecasts(request_: Request, forecasts: pd.DataFrame, tmp_path: Path) -> None:
    other = run(replace(request_, seed=4, models=("boosting",)), tmp_path)
    assert not np.allclose(other["mean"], forecasts.loc[forecasts["model"] == "boosting", "mean"])


@pytest.mark.parametrize(
    "change", [{"counts": "counts.parquet"}, {"tickets": "tickets.csv", "counts": None}, {"tickets": "tickets.parquet", "counts": None}]
)
def test_every_file_of_the_same_data_gives_the_same_forecasts(
    request_: Request, forecasts: pd.DataFrame, folder: Path, tmp_path: Path, change: dict[str, str | None]
) -> None:
    paths = {key: folder / value if value else None for key, value in change.items()}
    got = run(replace(request_, **paths), tmp_path)
    want = forecasts[forecasts["model"] == "champion"].reset_index(drop=True)
    pd.testing.assert_frame_equal(got, want, check_exact=True)


@pytest.mark.parametrize("workers", [2, 64])
def test_workers_change_no_byte(request_: Request, made: Path, tmp_path: Path, workers: int) -> None:
    rolling.run(replace(request_, models=("champion", "four_week_mean", "boosting"), workers=workers), tmp_path)
    for name in ("forecasts.parquet", "scores.parquet"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_cutoffs_may_come_in_any_order(request_: Request, forecasts: pd.DataFrame, tmp_path: Path) -> None:
    got = run(replace(request_, cutoffs=CUTOFFS[::-1]), tmp_path)
    pd.testing.assert_frame_equal(got, forecasts[forecasts["model"] == "champion"].reset_index(drop=True), check_exact=True)


def test_what_comes_after_a_cutoff_changes_nothing(request_: Request, forecasts: pd.DataFrame, folder: Path, tmp_path: Path) -> None:
    """Each cutoff alone, from a file that ends there, with drivers that end there, gives the same rows."""
    counts = pd.read_csv(folder / "counts.csv")
    for cutoff in CUTOFFS:
        path = tables.write(counts[counts["date"] <= cutoff], tmp_path / "cut.csv")
        got = run(replace(request_, counts=path, cutoffs=(cutoff,)), tmp_path / cutoff)
        want = forecasts[(forecasts["model"] == "champion") & (forecasts["cutoff"] == cutoff)].reset_index(drop=True)
        pd.testing.assert_frame_equal(got, want, check_exact=True)


def test_a_ticket_received_after_a_cutoff_was_not_known_at_it(request_: Request, folder: Path, tmp_path: Path) -> None:
    cutoff = pd.Timestamp(CUTOFFS[0])
    punctual = pd.read_csv(folder / "tickets.csv", parse_dates=["created_at"])
    punctual = punctual[punctual["created_at"] < cutoff + pd.Timedelta(days=1)].assign(received_at=lambda f: f["created_at"])
    late = punctual.tail(60).assign(ticket_id=lambda f: "late" + f["ticket_id"].astype(str), received_at=cutoff + pd.Timedelta(days=1, hours=9))
    early = late.assign(received_at=late["created_at"])
    request = replace(request_, counts=None, cutoffs=CUTOFFS[:1])
    got = {}
    for name, more in (("without", late.head(0)), ("late", late), ("early", early)):
        path = tables.write(pd.concat([punctual, more]), tmp_path / f"{name}.parquet")
        got[name] = run(replace(request, tickets=path), tmp_path / name)
    pd.testing.assert_frame_equal(got["late"], got["without"])
    assert not got["early"].equals(got["without"])


def test_a_file_that_ends_at_the_last_cutoff_gives_forecasts_and_no_scores(request_: Request, folder: Path, tmp_path: Path) -> None:
    counts = pd.read_csv(folder / "counts.csv")
    path = tables.write(counts[counts["date"] <= CUTOFFS[1]], tmp_path / "cut.csv")
    stale = tmp_path / "scores.parquet"
    stale.write_text("of an earlier run")
    scores = rolling.run(replace(request_, counts=path, cutoffs=CUTOFFS[1:]), tmp_path)
    assert scores.empty
    assert not stale.exists()
    assert len(pd.read_parquet(tmp_path / "forecasts.parquet")) == HORIZON * len(nodes(*OLD, ("d3", "NEW")))


def test_drivers_and_holidays_are_taken(request_: Request, folder: Path, tmp_path: Path) -> None:
    plain = run(replace(request_, cutoffs=CUTOFFS[1:], models=("boosting",)), tmp_path / "plain")
    driven = run(replace(request_, cutoffs=CUTOFFS[1:], models=("boosting",), drivers=folder / "drivers.csv"), tmp_path / "driven")
    assert plain[COLUMNS[:6]].equals(driven[COLUMNS[:6]])
    assert not np.allclose(plain["mean"], driven["mean"])


@pytest.mark.parametrize("country", ["CN", "US", "GB", "DE", "none", "us"])
def test_the_countries_of_the_contract_are_known(request_: Request, country: str, tmp_path: Path) -> None:
    assert len(run(replace(request_, cutoffs=CUTOFFS[:1], country=country, models=("four_week_mean",)), tmp_path))


def test_the_default_recipe_runs_on_a_small_file(request_: Request, tmp_path: Path) -> None:
    request = replace(request_, cutoffs=CUTOFFS[1:], horizon=3, models=("champion", "prophet", "seasonal_naive"), config=None)
    assert set(run(request, tmp_path)["model"]) == {"champion", "prophet", "seasonal_naive"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cutoffs": ("2024-07-20", "2024-07-20")}, "twice"),
        ({"cutoffs": ("2024-07-20", " 2024-07-20 ")}, "twice"),
        ({"cutoffs": ()}, "no cutoff"),
        ({"cutoffs": ("",)}, "--cutoffs: '' is not a date"),
        ({"cutoffs": ("NaT",)}, "'NaT' is not a date"),
        ({"cutoffs": ("nan",)}, "'nan' is not a date"),
        ({"cutoffs": ("2024-07-20", "soon")}, "'soon' is not a date"),
        ({"cutoffs": ("20.07.2024",)}, "'20.07.2024' is not a date"),
        ({"cutoffs": ("2024-02-30",)}, "'2024-02-30' is not a date"),
        ({"cutoffs": ("2024-03-03",)}, "2024-03-03 lies outside the data"),
        ({"cutoffs": ("2025-07-20",)}, "2025-07-20 lies outside the data"),
        ({"cutoffs": ("9999-07-20",)}, "9999-07-20 lies outside the data"),
        ({"horizon": 0}, "--horizon"),
        ({"horizon": -3}, "--horizon"),
        ({"horizon": 91}, "--horizon"),
        ({"models": ("oracle",)}, "unknown model 'oracle'"),
        ({"models": ()}, "no model"),
        ({"models": ("",)}, "unknown model ''"),
        ({"models": ("prophet",)}, "'prophet' is not in the recipe"),
        ({"seed": -1}, "--seed"),
        ({"seed": 2**40}, "--seed"),
        ({"country": "XX"}, "XX"),
        ({"counts": None}, "give one of --counts and --tickets"),
        ({"tickets": Path("t.csv")}, "give one of --counts and --tickets"),
        ({"counts": Path("none.csv")}, "none.csv: cannot be read"),
        ({"drivers": Path("none.csv")}, "none.csv: cannot be read"),
        ({"config": Path("none.yaml")}, "none.yaml: cannot be read"),
    ],
)
def test_bad_flags_are_one_clear_line_and_nothing_is_written(request_: Request, tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as error:
        rolling.run(replace(request_, **change), tmp_path / "out")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("t,2024-05-01,3,\nt,2024-05-01,3,zz\n", "drivers.csv, row 2: district 'zz' has no counts; the counts have d1, d2, d3; leave such rows out"),
        ("t,2023-05-01,3,d1\nt,2025-05-01,3,ALL\n", "drivers.csv: no row of a day from 2024-03-04 to 2024-08-20, which the counts are of"),
    ],
    ids=["a district without counts", "other days"],
)
def test_drivers_of_another_place_or_time_are_named(request_: Request, tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "drivers.csv"
    path.write_text(f"name,date,value,district\n{rows}")
    with pytest.raises(InputError) as error:
        rolling.run(replace(request_, drivers=path), tmp_path / "out")
    assert message in str(error.value)
    assert not (tmp_path / "out").exists()


def test_who_forecast_in_the_place_of_a_member_with_too_short_a_history_is_said(request_: Request, tmp_path: Path) -> None:
    first, second = CUTOFFS
    days = [(pd.Timestamp(cutoff) - tables.START).days + 1 for cutoff in CUTOFFS]
    assert days[0] < Boosting.least_days <= days[1]
    for models, instead in (
        (("boosting", "four_week_mean"), "four_week_mean forecast in its place"),
        (("champion",), "the champion does without it"),
    ):
        said: list[str] = []
        rolling.run(replace(request_, models=models), tmp_path / models[0], note=said.append)
        assert said == [f"{first}: boosting needs {Boosting.least_days} days of history and has {days[0]}; {instead}"]
    made = pd.read_parquet(tmp_path / "boosting" / "forecasts.parquet").set_index(["cutoff", "model"])["mean"]
    assert np.array_equal(made[pd.Timestamp(first), "boosting"], made[pd.Timestamp(first), "four_week_mean"])
    assert not np.array_equal(made[pd.Timestamp(second), "boosting"], made[pd.Timestamp(second), "four_week_mean"])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("ALL,HEAT,2024-05-01,3", "district 'ALL' is kept for sums"),
        ("d1,ALL,2024-05-01,3", "category 'ALL' is kept for sums"),
        ("d1,HEAT,2024-05-01,-3", "row 2 (d1 × HEAT on 2024-05-01): count '-3' is not a number of 0 or more"),
        ("d1,HEAT,2024-05-01,", "row 2 (d1 × HEAT on 2024-05-01): count 'nan' is not a number of 0 or more"),
        ("d1,HEAT,2024-05-01,inf", "row 2 (d1 × HEAT on 2024-05-01): count 'inf' is not a number of 0 or more"),
        ("d1,HEAT,2024-05-01,many", "row 2 (d1 × HEAT on 2024-05-01): count 'many' is not a number of 0 or more"),
    ],
)
def test_bad_rows_are_named(request_: Request, tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(f"district,category,date,count\nd1,HEAT,2024-04-01,1\n{rows}\nd1,HEAT,2024-09-01,1\n")
    with pytest.raises(InputError) as error:
        rolling.run(replace(request_, counts=path), tmp_path / "out")
    assert message in str(error.value)
    assert "bad.csv" in str(error.value)


def test_a_place_that_cannot_be_written_is_said_before_the_work_begins(request_: Request, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done: list[int] = []
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(InputError, match="--out"):
            rolling.run(request_, out, done.append)
    assert not done


def test_progress_tells_how_many_cutoffs_are_done(request_: Request, tmp_path: Path) -> None:
    done: list[int] = []
    rolling.run(replace(request_, models=("seasonal_naive",)), tmp_path, done.append)
    assert done == [1, 2]
