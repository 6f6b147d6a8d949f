"""The replay of the command line: files in, alerts and scores as the contract has them out."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import tables

from experiments import replay
from experiments.benchmarks.detection.replay import Request as Benched
from experiments.replay import Request
from forecasting.detection.levels import LEVELS
from forecasting.errors import InputError
from service.cli.models import replay as command

ALERTS = [
    "alert_id", "raised_at", "date", "kind", "level", "district", "category", "districts", "onset", "observed", "expected", "p_value", "reason",
]  # fmt: skip
SCORES = ["district", "category", "date", "observed", "expected", "p_value", "score"]
ZONE = "Asia/Shanghai"
QUICK = """\
windows: 3
members:
  four_week_mean:
  loglinear: {years: 1}
"""
RATES = {(d, c): a * b for d, a in {"d1": 1.5, "d2": 1.0, "d3": 0.8}.items() for c, b in {"HEAT": 8, "NOISE": 4, "ROAD": 6, "WATER": 2}.items()}
PAIRS = list(RATES)
NODES = {node for d, c in PAIRS for node in ((d, c), (d, "ALL"), ("ALL", c), ("ALL", "ALL"))}
DAYS = 150
BURST = pd.Timestamp("2024-07-04")  # in d2, of ROAD, at nine
STORM = pd.Timestamp("2024-07-15")  # everywhere, of WATER
LATE = pd.Timestamp("2024-07-10")  # a pair is named for the first time
START, END, CUT = "2024-06-24", "2024-07-24", "2024-07-16"  # the second training is on 2024-07-21


def tickets() -> pd.DataFrame:
    """A city in which two things happen; most tickets are received within minutes, some the day after."""
    rng = np.random.default_rng(4)
    parts = []
    for (district, category), rate in RATES.items():
        day = np.repeat(np.arange(DAYS), rng.poisson(rate * np.where(np.arange(DAYS) % 7 > 4, 0.8, 1.1)))
        moment = tables.START + pd.to_timedelta(day, unit="D") + pd.to_timedelta(rng.normal(13, 4, len(day)).clip(0.01, 23.9), unit="h")
        parts.append(pd.DataFrame({"created_at": moment, "district": district, "category": category}))

    def more(day: pd.Timestamp, district: str, category: str, number: int) -> None:
        moment = day + pd.Timedelta(hours=9) + pd.to_timedelta(rng.uniform(0, 1.5, number), unit="h")
        parts.append(pd.DataFrame({"created_at": moment, "district": district, "category": category}))

    more(BURST, "d2", "ROAD", 50)
    for district in ("d1", "d2", "d3"):
        more(STORM, district, "WATER", 35)
    more(LATE, "d3", "NEW", 2)
    frame = pd.concat(parts).sort_values("created_at", kind="stable").reset_index(drop=True)
    delay = np.where(rng.random(len(frame)) < 0.05, rng.uniform(20, 40, len(frame)), rng.uniform(0, 0.2, len(frame)))
    received = frame["created_at"] + pd.to_timedelta(delay, unit="h")
    return frame.assign(ticket_id=[f"T{i:06d}" for i in range(len(frame))], received_at=received)


@pytest.fixture(scope="session")
def town(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its files: tickets, counts by day, and a quick recipe."""
    path = tmp_path_factory.mktemp("town")
    tables.write(tickets(), path / "tickets.parquet")
    tables.write(tables.counts(tickets()), path / "counts.csv")
    (path / "quick.yaml").write_text(QUICK)
    return path


@pytest.fixture(scope="session")
def of_counts(town: Path) -> Request:
    return Request(START, END, counts=town / "counts.csv", config=town / "quick.yaml", country="none", budget=0.1, workers=1)


@pytest.fixture(scope="session")
def of_tickets(of_counts: Request, town: Path) -> Request:
    return replace(of_counts, counts=None, tickets=town / "tickets.parquet")


@pytest.fixture(scope="session")
def by_day(of_counts: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "deeper" / "still"
    replay.run(of_counts, out)
    return out


@pytest.fixture(scope="session")
def by_hour(of_tickets: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out")
    replay.run(of_tickets, out)
    return out


@pytest.fixture(params=["by_day", "by_hour"])
def made(request: pytest.FixtureRequest) -> Path:
    """What was made from counts, and what from tickets."""
    path: Path = request.getfixturevalue(request.param)
    return path


def alerts(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "alerts.parquet")


def scores(out: Path) -> pd.DataFrame:
    return pd.read_parquet(out / "scores.parquet")


def until(frame: pd.DataFrame, day: str) -> pd.DataFrame:
    return frame[frame["date"] <= day].reset_index(drop=True)


def same_until(one: Path, other: Path, day: str) -> None:
    pd.testing.assert_frame_equal(until(alerts(one), day), until(alerts(other), day), check_exact=True)
    pd.testing.assert_frame_equal(until(scores(one), day), until(scores(other), day), check_exact=True)


def about(out: Path, district: str, category: str) -> pd.DataFrame:
    rows = alerts(out)
    return rows[(rows["district"] == district) & (rows["category"] == category)]


def test_columns_and_types_are_those_of_the_contract(made: Path) -> None:
    assert pq.read_schema(made / "alerts.parquet").names == ALERTS
    assert pq.read_schema(made / "scores.parquet").names == SCORES
    types = {name: str(kind) for name, kind in zip(ALERTS, pq.read_schema(made / "alerts.parquet").types, strict=True)}
    assert types["raised_at"] == "timestamp[us, tz=Asia/Shanghai]"
    assert types["districts"] == "list<element: string>"
    assert {types[name] for name in ("observed", "expected", "p_value")} == {"double"}
    for frame, names in ((alerts(made), ("date", "onset")), (scores(made), ("date",))):
        for name in names:
            assert pd.api.types.is_datetime64_dtype(frame[name])
            assert (frame[name] == frame[name].dt.normalize()).all()


def test_every_alert_row_is_whole(made: Path) -> None:
    rows = alerts(made)
    assert set(rows["kind"]) <= {"SPIKE", "EMERGING", "SEASONAL", "FIRST_SEEN", "DATA"}
    assert set(rows["level"]) <= set(LEVELS)
    known = {d for d, _ in PAIRS}
    for districts in rows["districts"]:
        assert len(districts) > 0
        assert len(set(districts)) == len(districts)
        assert set(districts) <= known | {"ALL"}
    assert set(zip(rows["district"], rows["category"], strict=True)) <= NODES
    assert np.isfinite(rows[["observed", "expected", "p_value"]]).all(axis=None)
    assert ((rows["p_value"] > 0) & (rows["p_value"] <= 1)).all()
    assert rows["reason"].str.len().gt(20).all()


def test_an_alert_has_one_row_for_each_level_that_it_goes_up(made: Path) -> None:
    rows = alerts(made)
    assert rows["raised_at"].is_monotonic_increasing
    for _, mine in rows.groupby("alert_id"):
        steps = [LEVELS.index(level) for level in mine["level"]]
        assert steps == sorted(set(steps))
        assert mine["district"].nunique() >= 1


def test_an_alert_is_raised_within_its_day_and_not_before_its_onset(made: Path) -> None:
    rows = alerts(made)
    clock = rows["raised_at"].dt.tz_localize(None)
    assert (clock.dt.normalize() == rows["date"]).all()
    begun = rows["kind"] != "SEASONAL"  # which tells what is coming
    assert (rows["onset"] <= rows["date"])[begun].all()
    assert (rows["onset"] > rows["date"])[~begun].all()
    last = clock.dt.strftime("%H:%M:%S") == "23:59:59"
    hours = clock == clock.dt.floor("h")
    assert (last | hours).all()
    assert rows["date"].between(START, END).all()


def test_from_counts_an_alert_is_raised_when_the_day_is_over(by_day: Path) -> None:
    assert (alerts(by_day)["raised_at"].dt.strftime("%H:%M:%S") == "23:59:59").all()


def test_there_is_a_score_for_every_node_known_at_the_last_training_and_every_day(made: Path) -> None:
    rows = scores(made)
    late = {("d3", "NEW"), ("ALL", "NEW")}
    days = pd.date_range(START, END)
    assert list(rows["date"].unique()) == list(days)
    for day, mine in rows.groupby("date"):
        nodes = list(zip(mine["district"], mine["category"], strict=True))
        assert len(nodes) == len(set(nodes))
        assert set(nodes) == NODES | (late if day > pd.Timestamp("2024-07-21") else set())
    assert np.isfinite(rows[["expected", "p_value", "score"]]).all(axis=None)
    assert ((rows["p_value"] > 0) & (rows["p_value"] <= 1)).all()


def test_from_counts_what_was_observed_is_what_the_file_says(by_day: Path) -> None:
    said = tables.counts(tickets()).set_index(["district", "category", "date"])["count"]
    for row in scores(by_day).sample(200, random_state=0).itertuples():
        mine = said[(said.index.get_level_values("date") == row.date)]
        for name in ("district", "category"):
            if getattr(row, name) != "ALL":
                mine = mine[mine.index.get_level_values(name) == getattr(row, name)]
        if row.date >= LATE and row.district in ("d3", "ALL") and row.category in ("NEW", "ALL"):
            continue  # the pair that is named later is not in the sums before
        assert row.observed == mine.sum(), row


def test_from_tickets_what_was_observed_is_what_had_been_received_by_the_day_s_end(by_hour: Path) -> None:
    frame = tickets()
    day = frame["created_at"].dt.normalize()
    known = frame[frame["received_at"].dt.normalize() == day]
    number = known.groupby(["district", "category", day]).size()
    rows = scores(by_hour).set_index(["district", "category", "date"])["observed"].sort_index()
    for pair in PAIRS:
        want = number[pair].reindex(pd.date_range(START, END), fill_value=0)
        assert (rows[pair].to_numpy() == want.to_numpy()).all()
    assert len(known) < len(frame)


def test_the_planted_burst_is_one_alert_where_it_is(made: Path) -> None:
    mine = about(made, "d2", "ROAD")
    assert len(set(mine["alert_id"])) == 1
    first = mine.iloc[0]
    assert (first["date"], first["onset"], list(first["districts"])) == (BURST, BURST, ["d2"])
    day = scores(made)[lambda t: (t["district"] == "d2") & (t["category"] == "ROAD")].set_index("date")["score"]
    assert day.idxmax() == BURST


def test_the_planted_storm_is_one_alert_of_the_city_in_the_end(made: Path) -> None:
    rows = alerts(made)
    mine = rows[(rows["category"] == "WATER") & (rows["date"] >= STORM)]
    assert len(set(mine["alert_id"])) == 1
    last = mine.iloc[-1]
    assert (last["district"], set(last["districts"]), last["date"]) == ("ALL", {"d1", "d2", "d3"}, STORM)


def test_from_tickets_a_burst_at_nine_is_raised_by_noon(by_hour: Path) -> None:
    moment = about(by_hour, "d2", "ROAD").iloc[0]["raised_at"].tz_localize(None)
    assert BURST + pd.Timedelta(hours=10) <= moment <= BURST + pd.Timedelta(hours=12)


@pytest.mark.parametrize("request_", ["of_counts", "of_tickets"])
def test_the_same_inputs_give_the_same_bytes_with_one_worker_or_two(request_: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    want = request.getfixturevalue({"of_counts": "by_day", "of_tickets": "by_hour"}[request_])
    replay.run(replace(request.getfixturevalue(request_), workers=2 if request_ == "of_counts" else 1), tmp_path)
    for name in ("alerts.parquet", "scores.parquet"):
        assert (tmp_path / name).read_bytes() == (want / name).read_bytes()


def test_from_counts_a_file_cut_off_at_a_day_gives_the_same_rows_up_to_there(of_counts: Request, by_day: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(of_counts.counts or "")
    short = tables.write(frame[frame["date"] <= CUT], tmp_path / "cut.csv")
    replay.run(replace(of_counts, counts=short, end=CUT), tmp_path / "cut")
    same_until(tmp_path / "cut", by_day, CUT)
    assert scores(tmp_path / "cut")["date"].max() == pd.Timestamp(CUT)


def test_from_counts_another_future_changes_nothing_before(of_counts: Request, by_day: Path, tmp_path: Path) -> None:
    frame = pd.read_csv(of_counts.counts or "")
    later = frame["date"] > CUT
    strange = frame[later].assign(count=lambda t: t["count"] * 9, category=lambda t: t["category"].replace("HEAT", "OTHER"))
    replay.run(replace(of_counts, counts=tables.write(pd.concat([frame[~later], strange]), tmp_path / "other.csv")), tmp_path / "other")
    same_until(tmp_path / "other", by_day, CUT)
    assert not scores(tmp_path / "other").equals(scores(by_day))


@pytest.mark.parametrize("future", ["none", "strange"])
def test_from_tickets_what_is_received_later_changes_nothing_before(of_tickets: Request, by_hour: Path, tmp_path: Path, future: str) -> None:
    """Tickets of earlier days that arrive later, tickets without an hour, other categories."""
    frame = tickets()
    later = frame["received_at"] >= pd.Timestamp(CUT) + pd.Timedelta(days=1)
    other = frame[~later]
    if future == "strange":
        late = frame[~later].tail(400).assign(ticket_id=lambda t: "L" + t["ticket_id"], received_at=pd.Timestamp(CUT) + pd.Timedelta(days=2, hours=9))
        dates = pd.date_range(tables.START, END).repeat(90)
        bare = pd.DataFrame({"created_at": dates, "district": "d1", "category": "BARE", "ticket_id": [f"B{i}" for i in range(len(dates))]})
        other = pd.concat([other, late, bare.assign(received_at=pd.Timestamp(END) + pd.Timedelta(hours=3))])
    path = tables.write(other, tmp_path / "other.parquet")
    end = CUT if future == "none" else END
    replay.run(replace(of_tickets, tickets=path, end=end), tmp_path / "out")
    same_until(tmp_path / "out", by_hour, CUT)


def test_a_smaller_budget_tells_less_and_leaves_the_scores(of_counts: Request, by_day: Path, tmp_path: Path) -> None:
    numbers = []
    for budget in (1e-4, 2.0):
        replay.run(replace(of_counts, budget=budget), tmp_path / str(budget))
        pd.testing.assert_frame_equal(scores(tmp_path / str(budget)), scores(by_day), check_exact=True)
        rows = alerts(tmp_path / str(budget))
        numbers.append(rows.loc[rows["kind"].isin(["SPIKE", "EMERGING"]), "alert_id"].nunique())
    assert 2 <= numbers[0] < numbers[1]


def test_a_quiet_time_writes_an_empty_file_with_the_same_columns(of_counts: Request, by_day: Path, tmp_path: Path) -> None:
    made = replay.run(replace(of_counts, end="2024-06-25", budget=1e-6), tmp_path)
    assert made.empty
    assert pq.read_schema(tmp_path / "alerts.parquet").equals(pq.read_schema(by_day / "alerts.parquet"))
    assert len(scores(tmp_path)) == 2 * len(NODES)


def test_levels_are_learnt_anew_as_often_as_is_asked_for(of_counts: Request, by_day: Path, tmp_path: Path) -> None:
    """The first seven days are by the same training; what comes after is by another."""
    replay.run(replace(of_counts, refit_days=7, end="2024-07-02"), tmp_path)
    same_until(tmp_path, by_day, "2024-06-30")
    assert not until(scores(by_day), "2024-07-02").equals(scores(tmp_path))


def test_every_flag_of_the_benchmark_is_one_of_the_command(tmp_path: Path) -> None:
    path = tables.write(tables.counts(tables.tickets(3)), tmp_path / "table.parquet")
    asked = Benched(tmp_path / "weisu", START, END, counts=path, tickets=path, drivers=path, budget=0.5).run.command
    flags = {word for word in asked if word.startswith("--")}
    assert flags == {f"--{name.replace('_', '-')}" for name in command.__annotations__ if name not in ("return", "refit_days", "config", "seed")}


Change = dict[str, object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"start": "2024-03-20"}, "--start"),
        ({"start": "2024-03-04"}, "only 0 days of counts before 2024-03-04; choose 2024-04-01 or later"),
        ({"start": "2024-03-03"}, "--start: 2024-03-03 lies outside the data; choose days from 2024-03-04 to 2024-07-31"),
        ({"end": "2024-08-05"}, "--end: 2024-08-05 lies outside the data"),
        ({"end": "2024-06-01"}, "--end: it is before 2024-06-24"),
        ({"start": "soon"}, "--start: 'soon' is not a date"),
        ({"end": "24.07.2024"}, "--end: '24.07.2024' is not a date"),
        ({"counts": None}, "give one of --counts and --tickets"),
        ({"tickets": Path("t.csv")}, "give one of --counts and --tickets"),
        ({"counts": Path("none.csv")}, "none.csv: cannot be read"),
        ({"drivers": Path("none.csv")}, "none.csv: cannot be read"),
        ({"config": Path("none.yaml")}, "none.yaml: cannot be read"),
        ({"refit_days": 0}, "--refit-days"),
        ({"refit_days": 91}, "--refit-days"),
        ({"budget": -1.0}, "--budget"),
        ({"budget": 0.0}, "--budget"),
        ({"budget": float("nan")}, "--budget"),
        ({"seed": -1}, "--seed"),
        ({"country": "XX"}, "XX"),
    ],
)
def test_bad_flags_are_one_clear_line_and_nothing_is_written(of_counts: Request, tmp_path: Path, change: Change, message: str) -> None:
    with pytest.raises(InputError) as error:
        replay.run(replace(of_counts, **change), tmp_path / "out")  # type: ignore[arg-type]
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def doubled(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(district="ALL")


def wrong(frame: pd.DataFrame) -> pd.DataFrame:
    """The third row is no count; the first is of a day after the end."""
    first = frame.tail(1).assign(date="2024-07-31")
    return pd.concat([first, frame.head(1), frame.head(1).assign(count=-4), frame])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [(doubled, "district 'ALL' is kept for sums"), (wrong, "row 3 (d1 × HEAT on 2024-03-04): count '-4'")],
    ids=["sums", "count"],
)
def test_bad_files_are_one_clear_line_and_nothing_is_written(
    of_counts: Request, tmp_path: Path, spoil: Callable[[pd.DataFrame], pd.DataFrame], message: str
) -> None:
    path = tables.write(spoil(pd.read_csv(of_counts.counts or "")), tmp_path / "bad.csv")
    with pytest.raises(InputError) as error:
        replay.run(replace(of_counts, counts=path), tmp_path / "out")
    assert message in str(error.value)
    assert str(path) in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_file_in_the_place_of_the_folder_is_refused_before_the_work(of_counts: Request, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    for out in (tmp_path / "out", tmp_path / "out" / "below"):
        with pytest.raises(InputError, match="is a file"):
            replay.run(of_counts, out)
    assert (tmp_path / "out").read_text() == "mine"
