"""The trees as a city edits them: nodes move and are renamed, none is lost, and a table that makes no tree names its row."""

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from forecasting.errors import InputError
from service.clock import Clock
from service.intake.ingest import ingest
from service.store import areas, categories
from service.store.engine import reading

CLOCK = Clock(ZoneInfo("Asia/Shanghai"), datetime(2025, 6, 2, tzinfo=UTC))
HEADER = "code,parent,level,zh,en"


def _load(engine: Engine, folder: Path, rows: list[str], name: str = "categories.csv") -> tuple[int, int, int]:
    (folder / name).write_text("\n".join([HEADER, *rows, ""]), encoding="utf-8")
    report = ingest(engine, folder / name, CLOCK)
    return report.added, report.changed, report.unchanged


def _tree(engine: Engine) -> dict[str, tuple[str, str, str]]:
    with reading(engine) as conn:
        return {r.code: (r.parent, r.level, r.zh) for r in categories.frame(conn).itertuples()}


def _tickets(engine: Engine, folder: Path, categories_of: list[str]) -> None:
    rows = [f"{n},2025-06-01 08:00,D1,{category}" for n, category in enumerate(categories_of)]
    (folder / "tickets.csv").write_text("\n".join(["ticket_id,created_at,district,category", *rows, ""]), encoding="utf-8")
    ingest(engine, folder / "tickets.csv", CLOCK)


def test_a_node_moves_and_is_renamed_and_the_others_stay(engine: Engine, folder: Path) -> None:
    assert _load(engine, folder, ["A,ALL,l1,甲,A", "B,ALL,l1,乙,B", "A1,A,l2,甲一,A1", "A2,A,l2,甲二,A2"]) == (4, 0, 0)
    assert _load(engine, folder, ["A1,B,l2,乙一,B1", "B,ALL,l1,乙,B"]) == (0, 1, 1)
    assert _tree(engine) == {"A": ("ALL", "l1", "甲"), "B": ("ALL", "l1", "乙"), "A1": ("B", "l2", "乙一"), "A2": ("A", "l2", "甲二")}


def test_rows_may_stand_in_any_order_and_reach_a_third_level(engine: Engine, folder: Path) -> None:
    _load(engine, folder, ["A11,A1,l3,三,c", "A1,A,l2,二,b", "A,ALL,l1,一,a"])
    assert [level for _, level, _ in _tree(engine).values()] == ["l1", "l2", "l3"]


def test_a_table_labels_and_places_what_tickets_brought(engine: Engine, folder: Path) -> None:
    _tickets(engine, folder, ["HOUSING->LEAK", "X9"])
    with reading(engine) as conn:
        assert (categories.unlabelled(conn), areas.unlabelled(conn)) == (3, 1)
    _load(engine, folder, ["HOUSING,ALL,l1,住房,Housing", "X9,HOUSING,l2,新,New"])
    assert _tree(engine) == {"HOUSING": ("ALL", "l1", "住房"), "HOUSING->LEAK": ("HOUSING", "l2", "HOUSING->LEAK"), "X9": ("HOUSING", "l2", "新")}
    with reading(engine) as conn:
        assert categories.unlabelled(conn) == 1


def test_a_category_below_a_second_level_joins_one_level_deeper(engine: Engine) -> None:
    with engine.begin() as conn:
        categories.join(conn, {"A1": "A"}, CLOCK.now())
        categories.join(conn, {"A11": "A1"}, CLOCK.now())
    assert _tree(engine)["A11"] == ("A1", "l3", "A11")


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        (["A,ALL,l1,a,a", "X,NOWHERE,l2,x,x"], "line 3: the parent is no code of level l1"),
        (["X,X,l2,x,x"], r"line 2: the parents run in a ring \(X > X\)"),
        (["X,Y,l2,x,x", "Y,X,l2,y,y"], r"line 2: the parents run in a ring \(X > Y > X\)"),
        (["S1,ALL,l1,s,s", "S,S1,l2,s,s"], "line 3: 'S2' is below it"),
        (["S1,S2,l3,s,s"], None),
        (["X,S1,l2,x,x"], "line 2: the parent is no code of level l1"),
    ],
)
def test_a_table_that_makes_no_tree_names_its_row_and_changes_nothing(engine: Engine, folder: Path, rows: list[str], says: str | None) -> None:
    _load(engine, folder, ["S,ALL,l1,s,s", "S1,S,l2,s,s", "S2,S,l2,s,s"])
    before = _tree(engine)
    if says is None:
        _load(engine, folder, rows)
        assert _tree(engine)["S1"] == ("S2", "l3", "s")
        return
    with pytest.raises(InputError, match=says):
        _load(engine, folder, rows)
    assert _tree(engine) == before
