"""Every finished day against what was published before it was over: once, as published, and again when late tickets come."""

from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pytest
from promised_city import ALL, CATEGORIES, DISTRICTS, HORIZON, PromisedCity, by_hand, counts, day
from sqlalchemy import Engine, text

from forecasting.promised import LEVELS, SUMS
from service.jobs import promised
from service.settings import Settings
from service.store import promised as store
from service.store import rollback
from service.store.engine import reading, writing

LAST = 70


@pytest.fixture
def city(engine: Engine, folder: Path) -> PromisedCity:
    """Seventy days of counts."""
    made = PromisedCity(folder, engine)
    made.bring(counts(LAST), day(LAST))
    return made


def run(city: PromisedCity, last: int = LAST) -> list[date]:
    return list(promised.run(city.engine, city.settings(day(last))).days)


def kept(city: PromisedCity) -> pd.DataFrame:
    """All that is stored, but when it was."""
    with reading(city.engine) as conn:
        by_category = store.read(conn, day(1), day(200), LEVELS, ("day", "horizon", "category"))
        by_area = store.read(conn, day(1), day(200), LEVELS, ("day", "horizon", "area"))
    return pd.concat([by_category, by_area], ignore_index=True)


def image(city: PromisedCity) -> tuple[object, list[object]]:
    with reading(city.engine) as conn:
        rows = conn.execute(text("select * from promised_days order by day")).all()
    return kept(city).to_dict(), list(rows)


def test_the_sums_are_those_counted_one_by_one(city: PromisedCity) -> None:
    days = range(LAST - 4, LAST + 1)
    rows = []
    for cutoff in (LAST - 12, LAST - 5, LAST - 2):
        frame = city.publish(cutoff)
        rows += list(by_hand(frame, counts(LAST), cutoff, range(max(days.start, cutoff + 1), LAST + 1)))
    assert run(city)[-5:] == [day(n) for n in days]
    table = pd.DataFrame(rows)
    whole, every = table["area"].eq(ALL), table["category"].eq(ALL)
    expected = {"city": whole & every, "category": whole & ~every, "district": ~whole & every, "series": ~whole & ~every}
    with reading(city.engine) as conn:
        for level, here in expected.items():
            for by in ([], ["day"], ["horizon"], ["category"], ["area"]):
                if (by == ["category"] and level == "district") or (by == ["area"] and level == "category"):
                    continue
                found = store.read(conn, day(days.start), day(LAST), [level], by)
                mine = table[here].groupby(by or (lambda _: 0))[list(SUMS)].sum() if by else table.loc[here, list(SUMS)].sum().to_frame().T
                assert len(found) == len(mine)
                pd.testing.assert_frame_equal(
                    found[list(SUMS)].astype(float), mine.reset_index(drop=True).astype(float), check_exact=False, rtol=1e-9
                )
        some = store.read(conn, day(days.start), day(LAST), ["series"], ["category"], categories=["Heat"], horizons=[1, 3])
        mine = table[expected["series"] & (table["category"] == "Heat") & table["horizon"].isin([1, 3])]
        assert some["absolute"].item() == pytest.approx(mine["absolute"].sum())
        own = store.read(conn, day(days.start), day(LAST), ["series"], areas=["West"])
        assert own["absolute"].item() == pytest.approx(table.loc[expected["series"] & (table["area"] == "West"), "absolute"].sum())


def test_a_second_look_changes_nothing(city: PromisedCity) -> None:
    city.publish(LAST - 6)
    assert run(city) == [day(n) for n in range(LAST - 5, LAST + 1)]
    before = image(city)
    assert promised.run(city.engine, city.settings(f"{day(LAST + 1)}T09:00")) == promised.Compared((), 0)
    assert image(city) == before


def test_late_tickets_are_taken_up_on_their_day_and_no_other(city: PromisedCity) -> None:
    city.publish(LAST - 6)
    run(city)
    before = kept(city)
    late = counts(LAST - 3, LAST - 3)
    late.loc[(late["district"] == "West") & (late["category"] == "Noise"), "count"] += 25
    city.bring(late, day(LAST), "late")
    assert run(city) == [day(LAST - 3)]
    after = kept(city)
    same = before["day"] != pd.Timestamp(day(LAST - 3))
    pd.testing.assert_frame_equal(after[same], before[same])
    more = (after["actual"] - before["actual"])[~same]
    assert more[after["level"] == "city"].tolist() == [25, 25], "once by category and once by district"
    assert set(after.loc[more.index[more > 0], "category"].dropna()) == {"Noise", ALL}
    assert run(city) == []


def test_what_comes_later_than_late_is_a_correction_and_changes_no_score(city: PromisedCity) -> None:
    old = LAST - promised.FOLLOWED
    city.publish(old - 2)
    run(city)
    city.bring(counts(old, old).assign(count=99), day(LAST), "late")
    assert run(city) == []


def test_a_set_that_was_never_published_promised_nothing(city: PromisedCity) -> None:
    city.publish(LAST - 6, published=False)
    assert run(city) == []
    city.publish(LAST - 2)
    assert run(city) == [day(LAST - 1), day(LAST)]
    assert set(kept(city)["horizon"]) == {1, 2}


def test_of_a_challenger_s_sets_those_of_its_newest_recipe_count_and_go_where_they_belong(city: PromisedCity) -> None:
    one, other = {"members": {"seasonal_naive": {}}}, {"members": {"four_week_mean": {}}}
    for cutoff, mine in ((LAST - 5, one), (LAST - 4, other), (LAST - 2, one)):
        city.publish(cutoff, published=False, shadow=True, recipe=mine)
    assert run(city) == []
    assert promised.run(city.engine, city.settings(day(LAST)), "challenger") == promised.Compared(tuple(day(LAST - n) for n in range(4, -1, -1)), 2)
    with reading(city.engine) as conn:
        found = store.read(conn, day(1), day(LAST), ["city"], ["day", "horizon"], of="challenger")
        assert store.span(conn) is None
    pairs = {(at.date(), ahead) for at, ahead in zip(found["day"], found["horizon"], strict=True)}
    assert pairs == {(day(cutoff + h), h) for cutoff in (LAST - 5, LAST - 2) for h in range(1, LAST - cutoff + 1)}


def test_what_was_published_when_the_day_was_over_was_no_promise_for_it(city: PromisedCity) -> None:
    city.publish(LAST - 3, at=f"{day(LAST - 1)}T00:00+00:00")
    assert run(city) == [day(LAST - 1), day(LAST)]
    assert set(kept(city)["horizon"]) == {2, 3}


def test_of_two_sets_of_one_cutoff_the_one_published_last_counts_from_the_day_that_was_not_over(city: PromisedCity) -> None:
    first = city.publish(LAST - 3)
    second = city.publish(LAST - 3, at=f"{day(LAST - 1)}T10:00+00:00", seed=1)
    run(city)
    with reading(city.engine) as conn:
        found = store.read(conn, day(1), day(LAST), ["city"], ["day"]).set_index("day")["forecast"]
    for n, frame in ((LAST - 2, first), (LAST - 1, second), (LAST, second)):
        node = frame[(frame["area"] == ALL) & (frame["category"] == ALL) & (frame["date"] == pd.Timestamp(day(n)))]
        assert found[pd.Timestamp(day(n))] == pytest.approx(node["mean"].item())


def roll_back(city: PromisedCity, at: str, to: str | None = None) -> None:
    moment = datetime.fromisoformat(at)
    with writing(city.engine) as conn:
        rollback.roll_back(conn, to, moment.date(), moment, "someone")


def told(city: PromisedCity) -> dict[int, list[int]]:
    """How many days ahead each day was told, by its number."""
    with reading(city.engine) as conn:
        found = store.read(conn, day(1), day(LAST), ["city"], ["day", "horizon"])
    return {(at.date() - day(1)).days + 1: sorted(rows["horizon"]) for at, rows in found.groupby("day")}


def test_a_set_that_was_rolled_back_promised_the_days_that_were_over_by_then_and_no_other(city: PromisedCity) -> None:
    for cutoff in (LAST - 4, LAST - 3, LAST - 2):
        city.publish(cutoff)
    roll_back(city, f"{day(LAST - 1)}T09:00+00:00", "1")
    run(city)
    assert told(city) == {LAST - 3: [1], LAST - 2: [1, 2], LAST - 1: [3], LAST: [4]}


def test_of_one_cutoff_the_set_that_was_gone_back_to_counts(city: PromisedCity) -> None:
    first = city.publish(LAST - 2)
    city.publish(LAST - 2, at=f"{day(LAST - 1)}T10:00+00:00", seed=1)
    roll_back(city, f"{day(LAST - 1)}T15:00+00:00")
    run(city)
    with reading(city.engine) as conn:
        found = store.read(conn, day(LAST - 1), day(LAST), ["city"])["forecast"].item()
    whole = first[(first["area"] == ALL) & (first["category"] == ALL) & (first["horizon"] <= 2)]
    assert found == pytest.approx(whole["mean"].sum())


def test_a_rollback_that_was_taken_back_leaves_out_the_days_between(city: PromisedCity) -> None:
    city.publish(LAST - 5)
    city.publish(LAST - 4)
    roll_back(city, f"{day(LAST - 3)}T09:00+00:00")
    roll_back(city, f"{day(LAST - 1)}T09:00+00:00", "2")
    run(city)
    assert told(city) == {LAST - 4: [1], LAST - 3: [2], LAST - 2: [3], LAST - 1: [3, 4], LAST: [4, 5]}


def test_days_beyond_the_horizon_are_not_compared(city: PromisedCity) -> None:
    city.publish(LAST - 20)
    assert run(city) == [day(LAST - 20 + h) for h in range(1, HORIZON + 1)]


def test_a_district_that_was_not_delivered_is_not_compared_and_neither_is_a_sum_with_it(city: PromisedCity) -> None:
    city.publish(LAST - 3)
    silent = counts(LAST + 1, LAST + 1)
    city.bring(silent[silent["district"] != "West"], day(LAST + 1), "more")
    run(city, LAST + 1)
    found = kept(city)
    found = found[found["day"] == pd.Timestamp(day(LAST + 1))]
    assert set(found["level"]) == {"district", "series"}
    assert set(found["area"].dropna()) <= {"East", ALL}
    series = found[(found["level"] == "series") & found["category"].isin(CATEGORIES)]
    assert series["rows"].tolist() == [1] * len(CATEGORIES)


def test_a_day_on_which_nothing_was_delivered_is_done_and_has_no_sums(city: PromisedCity) -> None:
    city.publish(LAST - 1)
    city.bring(counts(LAST + 2, LAST + 2), day(LAST + 2), "more")
    assert run(city, LAST + 2) == [day(LAST), day(LAST + 1), day(LAST + 2)]
    assert set(kept(city)["day"]) == {pd.Timestamp(day(LAST)), pd.Timestamp(day(LAST + 2))}
    assert run(city, LAST + 2) == []


def test_after_an_upgrade_the_newest_days_come_first_and_the_others_follow(city: PromisedCity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(promised, "AT_ONCE", 3)
    city.publish(LAST - 8)
    assert [run(city), run(city), run(city), run(city)] == [
        [day(n) for n in range(LAST - 2, LAST + 1)],
        [day(n) for n in range(LAST - 5, LAST - 2)],
        [day(n) for n in range(LAST - 7, LAST - 5)],
        [],
    ]


def test_days_that_are_older_than_the_history_that_is_kept_are_not_made_up_for(city: PromisedCity) -> None:
    city.publish(LAST - 6)
    later = day(LAST + 98)
    city.bring(counts(LAST + 98, LAST + 1), later, "more")
    settings = Settings(**city.settings(later).model_dump() | {"keep_history_days": 100})
    assert promised.run(city.engine, settings).days == tuple(day(n) for n in range(LAST - 2, LAST + 4))


def test_a_pass_that_breaks_off_leaves_whole_days(city: PromisedCity, monkeypatch: pytest.MonkeyPatch) -> None:
    city.publish(LAST - 3)
    put = store.put

    def breaks(conn, at, *rest):  # type: ignore[no-untyped-def]
        put(conn, at, *rest)
        if at == day(LAST - 1):
            raise KeyboardInterrupt

    monkeypatch.setattr(store, "put", breaks)
    with pytest.raises(KeyboardInterrupt):
        run(city)
    assert set(kept(city)["day"]) == {pd.Timestamp(day(LAST - 2))}
    monkeypatch.undo()
    assert run(city) == [day(LAST - 1), day(LAST)]


def test_districts_that_are_gone_are_passed_over(city: PromisedCity) -> None:
    city.publish(LAST - 1)
    with writing(city.engine) as conn:
        conn.execute(text("delete from daily_counts where area = 'West'"))
        conn.execute(text("delete from areas where code = 'West'"))
    run(city)
    found = kept(city)
    assert set(found.loc[found["level"] == "district", "area"].dropna()) == set(DISTRICTS) - {"West"}
