"""The category map and the excluded spans as files: the file is the table, and one wrong row refuses it by its line."""

from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Engine

from forecasting.errors import InputError
from service.clock import Clock
from service.intake.ingest import ingest
from service.intake.work import Report
from service.store import areas, categories, category_map, excluded_spans
from service.store.engine import reading, writing

CLOCK = Clock(ZoneInfo("Asia/Shanghai"), datetime(2025, 6, 2, tzinfo=UTC))
MAP, SPANS = "old,new,valid_from,share", "start,end,area,category,reason"


@pytest.fixture
def city(engine: Engine) -> Engine:
    """A database with some areas and categories."""
    with writing(engine) as conn:
        areas.join(conn, {"S1": "D1"}, CLOCK.now())
        categories.join(conn, {"PROP": "HOUSING", "PARK": "TRAFFIC"}, CLOCK.now())
    return engine


def _load(engine: Engine, folder: Path, *rows: str, name: str = "table.csv") -> Report:
    (folder / name).write_text("\n".join([*rows, ""]), encoding="utf-8")
    return ingest(engine, folder / name, CLOCK)


def _map(engine: Engine) -> list[tuple[str, str, date, float]]:
    with reading(engine) as conn:
        table = category_map.read(conn).table
    return [(r.old, r.new, r.valid_from.date(), r.share) for r in table.itertuples(index=False)]


def _spans(engine: Engine) -> list[tuple[date, date, str, str]]:
    with reading(engine) as conn:
        return [(r.start.date(), r.end.date(), r.area, r.category) for r in excluded_spans.frame(conn).itertuples(index=False)]


def test_the_file_is_the_category_map_and_new_codes_join_beside_the_old(city: Engine, folder: Path) -> None:
    report = _load(city, folder, MAP, "PROP,ELEV,2025-04-01,0.15", "PROP,PARK,2025-04-01,0.15", "OLD,PROP,2024/01/01,")
    assert (report.kind, report.added, report.changed, report.unchanged, report.new_categories) == ("category_map", 3, 0, 0, ("ELEV", "OLD"))
    april = date(2025, 4, 1)
    assert _map(city) == [("OLD", "PROP", date(2024, 1, 1), 1.0), ("PROP", "ELEV", april, 0.15), ("PROP", "PARK", april, 0.15)]
    with reading(city) as conn:
        assert categories.frame(conn).set_index("code").loc["ELEV", "parent"] == "HOUSING"
    again = _load(city, folder, MAP, "PROP,ELEV,2025-04-01,0.2", "PROP,PARK,2025-04-01,0.15")
    assert (again.added, again.changed, again.unchanged) == (0, 2, 1)  # one share, and the row that is gone
    assert _map(city) == [("PROP", "ELEV", april, 0.2), ("PROP", "PARK", april, 0.15)]
    assert (_load(city, folder, MAP).changed, _map(city)) == (2, [])


def test_the_file_is_the_table_of_excluded_spans(city: Engine, folder: Path) -> None:
    report = _load(city, folder, SPANS, "2022-01-01,2022-12-31,,,疫情", "2025-03-05,2025-03-05,D1,PROP,outage")
    assert (report.kind, report.added) == ("excluded_spans", 2)
    outage = (date(2025, 3, 5), date(2025, 3, 5), "D1", "PROP")
    assert _spans(city) == [(date(2022, 1, 1), date(2022, 12, 31), "ALL", "ALL"), outage]
    assert (_load(city, folder, SPANS, "2025-03-05,2025-03-05,D1,PROP,outage").changed, _spans(city)) == (1, [outage])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([MAP, "PROP,ELEV,2025-04-01,0.7", "PROP,PARK,2025-04-01,0.4"], "line 3: the shares of the code on that day are more than 1"),
        ([MAP, "PROP,ELEV,2025-04-01,", "PROP,PARK,2025-04-01,0.4"], "line 2: no share, and the code goes to several"),
        ([MAP, "PROP,ELEV,2025-04-01,2"], "line 2: share is not over 0 and at most 1"),
        ([MAP, "PROP,ELEV,2025-04-01,some"], "line 2: share is no number"),
        ([MAP, "PROP,ELEV,April,"], "line 2: valid_from is no date"),
        ([MAP, "PROP,,2025-04-01,"], "line 2: 'new' names no category"),
        ([MAP, "PROP,PROP,2025-04-01,"], "line 2: a code is mapped to itself"),
        ([MAP, "PROP,ELEV,2025-04-01,0.1", "PROP,ELEV,2025-04-01,0.1"], "line 3: the code is mapped twice"),
        ([SPANS, "2025-03-05,2025-03-04,,,"], "line 2: it ends before it starts"),
        ([SPANS, "2025-03-05,,,,"], "line 2: end is no date"),
        ([SPANS, "2025-03-05,2025-03-05,D9,,"], "line 2: there is no area of that code or name"),
        ([SPANS, "2025-03-05,2025-03-05,,NOISE,"], "line 2: there is no category of that code or name"),
        ([SPANS, "2025-03-05,2025-03-05,,,", "2025-03-05,2025-03-05,,,x"], "line 3: the span stands there twice"),
        (["id,kind,start,end,category", "F1,late,2025-03-05,2025-03-05,"], "other columns than those of a table of excluded_spans"),
    ],
)
def test_a_wrong_row_refuses_the_file_by_its_line_and_changes_nothing(city: Engine, folder: Path, rows: list[str], says: str) -> None:
    _load(city, folder, MAP, "PROP,PARK,2025-01-01,0.5")
    _load(city, folder, SPANS, "2022-01-01,2022-12-31,,,疫情")
    before = _map(city), _spans(city)
    with pytest.raises(InputError, match=says):
        _load(city, folder, *rows)
    assert (_map(city), _spans(city)) == before
