"""`weisu report models` as it is typed."""

from collections.abc import Callable

from processes import Bench
from promised_city import PromisedCity, counts, day

from service.jobs import promised
from service.store.engine import open_engine

Typed = Callable[..., tuple[int, str, str]]


def test_the_report_of_a_month_goes_to_stdout_or_to_a_file(typed: Typed, bench: Bench) -> None:
    assert typed(bench, "db", "upgrade")[0] == 0
    engine = open_engine(f"sqlite:///{bench.folder / '.weisu' / 'weisu.db'}")
    city = PromisedCity(bench.folder, engine)
    city.bring(counts(68), day(68))
    city.publish(62)
    promised.run(engine, city.settings(day(68)))
    engine.dispose()
    code, text, _ = typed(bench, "report", "models", "--month", "2025-11")
    assert code == 0
    assert text.startswith("# Model report 2025-11\n")
    assert "| city | 6 |" in text
    code, out, err = typed(bench, "report", "models", "--month", "2025-11", "--out", "reports/report.md")
    assert (code, out) == (0, "")
    assert "wrote reports/report.md" in err
    assert (bench.folder / "reports" / "report.md").read_text("utf-8") == text
    assert [path.name for path in (bench.folder / "reports").iterdir()] == ["report.md"], "it is there as a whole, and nothing beside it"


def test_a_month_that_is_none_or_that_nobody_knows_is_one_clear_line(typed: Typed, bench: Bench) -> None:
    assert typed(bench, "db", "upgrade")[0] == 0
    for month, says in (("november", "'november' is no month"), ("2025-13", "'2025-13' is no month"), ("2025-11", "nothing was compared yet")):
        code, out, err = typed(bench, "report", "models", "--month", month)
        assert (code, out) == (2, "")
        assert says in err
        assert len(err.splitlines()) == 1
