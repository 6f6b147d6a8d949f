"""What a night publishes when the gate refuses its candidate, and what people hear of it."""

import re
from html import unescape
from pathlib import Path
from typing import cast

import numpy as np
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, counts, day
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow_nights import broken_mlflow
from processes import until
from shuffled import Shuffled

from experiments import night, recipes, registry, spool
from experiments.gate import Check
from experiments.night import Night
from forecasting.recipe import MODELS
from service.jobs import aliases, knowledge, nightly, promotion, tracked, watch
from service.jobs.promotion import Decision, Judged
from service.store import alerts, audit, forecast_sets, rollback, runs
from service.store.engine import reading, writing

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

LONG = 200  # days of history of which a booster can learn
POOR = "members:\n  seasonal_naive:\n"  # repeats the last week, bursts and all


@pytest.fixture
def poor(tmp_path: Path) -> str:
    path = tmp_path / "poor.yaml"
    path.write_text(POOR)
    return str(path)


def sets(city: City) -> list[forecast_sets.About]:
    with reading(city.engine) as conn:
        return forecast_sets.list_sets(conn)


def pointed(city: City) -> forecast_sets.ForecastSet:
    with reading(city.engine) as conn:
        pointer = forecast_sets.pointer(conn)
        assert pointer is not None
        return forecast_sets.get(conn, pointer)


def notes(city: City) -> list[alerts.Alert]:
    with reading(city.engine) as conn:
        return [one for one in alerts.running(conn) if one.kind == "DATA"]


def aliased(city: City) -> dict[str, str]:
    """Alias -> MLflow run."""
    client = MlflowClient(tracking_uri=city.settings(day(DAYS)).tracking_uri)
    found = {}
    for alias in registry.ALIASES:
        try:
            found[alias] = client.get_model_version_by_alias(registry.MODEL, alias).run_id
        except MlflowException:
            continue
    return found


def next_night(city: City, n: int = 1, **settings: object) -> nightly.Trained:
    city.bring(counts(DAYS + n, first=DAYS + n), f"more{n}")
    return nightly.run(city.engine, city.settings(day(DAYS + n), **settings))


def test_a_night_of_the_recipe_that_serves_passes_and_says_so_everywhere(trained: City) -> None:
    before = pointed(trained)
    done = next_night(trained)
    assert (done.published, done.refused) == (True, "")
    newest = sets(trained)[0]
    assert newest.id == done.forecast_set_id == pointed(trained).id
    assert newest.gate is not None
    assert all(check["passed"] for check in newest.gate)
    assert newest.recipe == recipes.load().mapping()
    assert aliased(trained) == {"champion": newest.mlflow_run_id, "previous": before.mlflow_run_id}
    assert newest.mlflow_run_id is not None
    run = MlflowClient(tracking_uri=trained.settings(day(DAYS)).tracking_uri).get_run(newest.mlflow_run_id)
    assert (run.data.tags["gate"], run.data.tags["let_in"]) == ("passed", "true")
    with reading(trained.engine) as conn:
        ledger = runs.latest(conn)
    assert ledger is not None
    assert ledger.scores is not None
    assert ledger.scores["gate"] == [newest.gate]
    assert notes(trained) == []


def test_a_poor_candidate_is_refused_and_the_recipe_that_serves_is_published_with_fresh_data(trained: City, poor: str) -> None:
    before = pointed(trained)
    done = next_night(trained, recipe=poor)
    assert done.published
    assert "WRMSSE above that of the recipe served" in done.refused
    champion, candidate = sets(trained)[:2]
    assert (champion.id, champion.cutoff, champion.recipe) == (done.forecast_set_id, day(DAYS + 1), recipes.load().mapping())
    assert (candidate.published_at, candidate.refused, candidate.recipe and list(candidate.recipe["members"])) == (None, True, ["seasonal_naive"])
    with reading(trained.engine) as conn:
        judge = forecast_sets.latest_before(conn, day(DAYS + 2))
    assert judge is not None
    assert judge.id == champion.id, "what was refused judges no day"
    assert aliased(trained) == {"champion": champion.mlflow_run_id, "previous": before.mlflow_run_id, "challenger": candidate.mlflow_run_id}
    assert candidate.mlflow_run_id is not None
    run = MlflowClient(tracking_uri=trained.settings(day(DAYS)).tracking_uri).get_run(candidate.mlflow_run_id)
    assert run.data.tags["gate"] == "failed"
    assert "WRMSSE champion" in run.data.tags["gate_failed"]
    (note,) = notes(trained)
    assert candidate.gate is not None
    measured = next(check["measured"] for check in candidate.gate if check["name"] == "WRMSSE champion")
    assert measured > 0.05
    assert f"WRMSSE above that of the recipe served: {measured:.1%}" in note.reason_en
    assert "the recipe that served before, fitted to the newest data, goes on serving" in note.reason_en
    assert "未通过上线检查" in note.reason_zh
    again = watch.run(trained.engine, trained.settings(day(DAYS + 1)))
    assert (again.raised, again.resolved, notes(trained)) == (0, 0, [note]), "a second watch changes nothing"


def test_the_reports_of_a_night_that_was_refused_say_what_failed_and_what_is_published_in_its_place(
    trained: City, poor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool, "replay_within", lambda *_: [])  # they stay where they are written
    next_night(trained, recipe=poor)
    folders = spool.waiting(trained.settings(day(DAYS)).spool_dir)[-2:]  # of a slow machine the first night may wait there, too
    refused, refitted = (unescape((folder / spool.FILES / "report.html").read_text("utf-8")) for folder in folders)
    candidate = next(one for one in sets(trained) if one.refused)
    assert candidate.gate is not None
    measured = next(check["measured"] for check in candidate.gate if check["name"] == "WRMSSE champion")
    assert "It is refused; the champion's recipe, refitted to the newest data, is published in its place." in refused
    assert re.search(
        rf"<td>WRMSSE above that of the recipe served</td><td>\w*</td><td>{measured:.1%}</td><td>at most [\d.]+%</td><td>no</td>", refused
    )
    assert "<tr><td>members.loglinear.years</td><td>10</td><td>–</td></tr>" in refused
    assert "The candidate was refused; this is the champion's recipe, refitted to the newest data." in refitted
    assert "The recipe is the champion's." in refitted


def judged(published: bool, *failed: str) -> Judged:
    """A night that holds all checks but some."""
    checks = [Check(name, 1.0 if name in failed else 0.0, 0.0, vital=name == "complete") for name in ("complete", "totals")]
    return Judged(cast(Night, None), checks, published)


def test_what_comes_of_a_night_is_told_in_words_whatever_the_gate_said(trained: City) -> None:
    with reading(trained.engine) as conn:
        served = promotion.served(conn, trained.settings(day(DAYS)).clock)
    assert served is not None
    good, poor = judged(True), judged(True, "totals")
    refused, broken = judged(False, "totals"), judged(False, "complete")
    goes_on = f"the forecasts known until {day(DAYS)} go on being served."
    refit = "the champion's recipe, refitted to the newest data"
    begins = f"The candidate was refused; this is {refit}. "
    all_the_same = "Not all checks hold. It is published all the same: "
    told = [
        ([good], ["All checks hold: it is published."]),
        ([poor], [f"{all_the_same}older forecasts would be worse."]),
        ([broken], [f"It is not published; {goes_on}"]),
        ([refused, good], [f"It is refused; {refit}, is published in its place.", f"{begins}All checks hold: it is published."]),
        ([refused, poor], [f"It is refused; {refit}, is published in its place.", f"{begins}{all_the_same}older forecasts would be worse."]),
        ([refused, broken], [f"It is not published, nor is {refit}; {goes_on}", f"{begins}It is not published; {goes_on}"]),
    ]
    for made, words in told:
        decision = Decision(made, served)
        assert [decision.outcome(one) for one in made] == words
    assert Decision([poor], None).outcome(poor) == f"{all_the_same}nothing was served before."


def test_a_candidate_whose_features_are_shuffled_is_refused_by_name_and_figure_and_the_champion_serves_fresh_data(
    bare: City, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MODELS, Shuffled.name, Shuffled)
    champion, candidate = tmp_path / "champion.yaml", tmp_path / "shuffled.yaml"
    champion.write_text("members:\n  seasonal_naive:\n  four_week_mean:\n  usual_weeks:\n")
    candidate.write_text(f"members:\n  seasonal_naive:\n  four_week_mean:\n  {Shuffled.name}:\n")
    table = counts(LONG + 1)
    bare.bring(table[table["date"] <= str(day(LONG))])
    nightly.run(bare.engine, bare.settings(day(LONG), recipe=str(champion)))
    bare.bring(table[table["date"] > str(day(LONG))], "more")
    done = nightly.run(bare.engine, bare.settings(day(LONG + 1), recipe=str(candidate)))
    served, refused = sets(bare)[:2]
    assert (served.id, served.cutoff) == (done.forecast_set_id, day(LONG + 1)), "with the newest day"
    assert served.recipe is not None
    assert list(served.recipe["members"]) == ["seasonal_naive", "four_week_mean", "usual_weeks"]
    assert (refused.refused, refused.published_at) == (True, None)
    assert refused.gate is not None
    failed = {check["name"]: check for check in refused.gate if not check["passed"]}
    assert {"WRMSSE champion", "WQL champion", "WRMSSE baselines", "WQL baselines"} <= failed.keys()
    (note,) = notes(bare)
    worse, allowed = failed["WRMSSE champion"]["measured"], failed["WRMSSE champion"]["limit"]
    assert worse > 0.2
    assert f"WRMSSE above that of the recipe served: {worse:.1%}, allowed at most {allowed:.1%}" in note.reason_en
    assert "goes on serving" in note.reason_en


def test_the_note_ends_three_days_after_the_last_refusal_and_the_challenger_with_it(trained: City, poor: str) -> None:
    next_night(trained, 1, recipe=poor)
    next_night(trained, 2, recipe=poor)
    (note,) = notes(trained)
    assert note.last_day == day(DAYS + 2), "one note, however many nights"
    trained.bring(counts(DAYS + 4, first=DAYS + 3), "two_days")
    watch.run(trained.engine, trained.settings(day(DAYS + 4)))
    assert len(notes(trained)) == 1
    next_night(trained, 5)
    assert notes(trained) == []
    assert set(aliased(trained)) == {"champion", "previous"}


def test_if_the_recipe_that_serves_does_not_pass_itself_it_goes_on_with_fresh_data_and_a_note(bare: City, poor: str) -> None:
    """A day is delivered fifty times over; a recipe that repeats the last week repeats it in each of the coming ones."""
    table = counts(DAYS + 1)
    bare.bring(table[table["date"] <= str(day(DAYS))])
    nightly.run(bare.engine, bare.settings(day(DAYS), recipe=poor))
    before = pointed(bare)
    bare.bring(table[table["date"] > str(day(DAYS))].assign(count=lambda f: 50 * f["count"] + 50), "more")
    done = nightly.run(bare.engine, bare.settings(day(DAYS + 1), recipe=poor))
    assert done.published
    assert pointed(bare).id == done.forecast_set_id != before.id
    gate = pointed(bare).gate
    assert gate is not None
    assert "totals" in [check["name"] for check in gate if not check["passed"]]
    note = next(one for one in notes(bare) if "did not pass" in one.reason_en)
    assert "times as many (or as few) tickets as in the last four weeks" in note.reason_en
    assert "served all the same" in note.reason_en
    assert note.level == "blue"


def test_what_is_broken_is_not_published_and_what_is_served_goes_on(trained: City) -> None:
    with reading(trained.engine) as conn:
        served = promotion.served(conn, trained.settings(day(DAYS)).clock)
        known = knowledge.known(conn, trained.settings(day(DAYS)), day(DAYS))
    made = night.train(known, recipes.load(), 28)
    made.forecast_set.frame.loc[3, "mean"] = np.nan
    decision = promotion.decide(made, None, served, 1.5)
    assert (decision.published, decision.served) == (None, served)
    with pytest.raises(promotion.Refused, match="complete"):
        promotion.decide(made, None, None, 1.5)


def test_where_nothing_is_served_poor_forecasts_are_better_than_none(bare: City, poor: str) -> None:
    table = counts(DAYS)
    last = table["date"] == str(day(DAYS))
    table["count"] = np.where(last, 50 * table["count"] + 50, table["count"])
    bare.bring(table)
    done = nightly.run(bare.engine, bare.settings(day(DAYS), recipe=poor))
    assert done.published
    gate = pointed(bare).gate
    assert gate is not None
    assert [check["name"] for check in gate if not check["passed"]] != []
    assert not [one for one in notes(bare) if "not let in" in one.reason_en]


def test_a_set_that_no_longer_reaches_today_does_not_stand_in_the_way(trained: City) -> None:
    with reading(trained.engine) as conn:
        assert promotion.served(conn, trained.settings(day(DAYS + 27)).clock) is not None
        assert promotion.served(conn, trained.settings(day(DAYS + 28)).clock) is None


def test_a_recipe_that_this_version_does_not_know_is_compared_with_nothing(trained: City) -> None:
    default = recipes.load()
    with reading(trained.engine) as conn:
        served = promotion.served(conn, trained.settings(day(DAYS + 1)).clock)
    assert served is not None
    assert promotion.recipe_served(served, default, default) is None, "the same"
    strange = forecast_sets.About(
        **{name: getattr(served, name) for name in forecast_sets.About.__dataclass_fields__} | {"recipe": {"members": {"x": {}}}}
    )
    assert promotion.recipe_served(strange, default, default) is None
    assert promotion.recipe_served(None, default, default) is None


def test_the_aliases_follow_a_rollback_and_wait_for_mlflow(trained: City) -> None:
    first = pointed(trained)
    next_night(trained)
    settings = trained.settings(day(DAYS + 1))
    with writing(trained.engine) as conn:
        rollback.roll_back(conn, None, day(DAYS + 2), settings.clock.now(), "me")
    assert not aliases.follow(trained.engine, trained.settings(day(DAYS + 1), mlflow_tracking_uri=broken_mlflow(trained.folder)))
    assert aliased(trained)["champion"] != first.mlflow_run_id
    assert aliases.follow(trained.engine, settings)
    assert aliased(trained) == {"champion": first.mlflow_run_id}
    with reading(trained.engine) as conn:
        entry = audit.newest(conn, audit.ALIASES)
        assert entry is not None
        assert entry.detail["champion"] == first.id
        versions = [one.model_version for one in forecast_sets.list_sets(conn) if one.published_at]
    assert versions == [2, 1]
    assert aliases.follow(trained.engine, trained.settings(day(DAYS + 1), mlflow_tracking_uri="http://127.0.0.1:1")), "nothing to do, nobody asked"


def test_a_night_that_waits_in_the_spool_has_its_alias_when_mlflow_has_it_though_a_watch_came_first(trained: City) -> None:
    settings = trained.settings(day(DAYS + 1))
    next_night(trained, mlflow_tracking_uri=broken_mlflow(trained.folder))
    assert pointed(trained).mlflow_run_id is None
    aliases.follow(trained.engine, settings)  # MLflow answers again, and has not been told of the night yet
    assert "champion" not in aliased(trained), "better none than a wrong one"
    until("nothing waits", lambda: tracked.replay(trained.engine, settings) > 0)
    champion = pointed(trained).mlflow_run_id
    assert champion is not None
    assert aliased(trained)["champion"] == champion
    assert aliases.follow(trained.engine, trained.settings(day(DAYS + 1), mlflow_tracking_uri="http://127.0.0.1:1")), "nothing to do, nobody asked"
