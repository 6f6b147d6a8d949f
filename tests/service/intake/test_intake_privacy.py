"""Names and numbers of people: planted wherever a file can hold them, and looked for wherever the service writes."""

import gzip
import io
import json
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import Bench
from sqlalchemy import Engine, MetaData, create_engine, select
from workbooks import write

from forecasting.errors import InputError
from service import secret
from service.clock import Clock, parse_as_of
from service.intake import dry_run
from service.intake.bodies import READERS
from service.intake.ingest import ingest
from service.intake.nodes import Nodes
from service.intake.privacy import PERSONAL_HEADER, STARS, Privacy, mask, mask_text
from service.intake.requests import Request, accept, apply_waiting
from service.store.engine import reading
from service.store.schema import tickets

BEIJING = ZoneInfo("Asia/Shanghai")
CLOCK = Clock(BEIJING, parse_as_of("2024-02-01", BEIJING))
NAME, PHONE = "欧阳建国", "13987654321"
TEXT = (
    f"{NAME}先生来电,联系人:{NAME},电话139-8765-4321或010-87654321,+86 139 8765 4321,１３９８７６５４３２１,"
    "(617) 555-0142,身份证11010119900307721X,zhang.jianguo@example.com,Ms Featherstone,小区停水"
)
# What must be found nowhere; numbers are also looked for without what separates their digits.
SECRETS = (NAME, "139-8765", "8765-4321", "8765 4321", "010-8765", "555-0142", "199003077", "７６５４", "zhang.jianguo", "Featherstone", "建国")
NUMBERS = (PHONE, "01087654321", "6175550142", "11010119900307721")
HEADER = ["工单编号", "来电时间", "来电人", "来电人电话/账号", "被反映区", "问题分类", "工单状态", "标题", "主要内容", "回复内容"]


def _rows(prefix: str, first: int = 1) -> list[list[str]]:
    """Tickets of the same caller, and some that are wrong."""
    day = "2024-01-05 10:03:00"
    who = [NAME, PHONE]
    said = [TEXT, TEXT, TEXT]
    return [
        [f"{prefix}{first}", day, *who, "东城区", "水务->供水", f"已办 {PHONE}", *said],
        [f"{prefix}{first + 1}", day, NAME, "+86 139-8765-4321", f"东城区 {PHONE}", f"水务->{PHONE}", "办结", *said],
        [f"{prefix}{first + 2}", day, NAME, "010-87654321", "西城区 010-87654321", "供热 (617) 555-0142", "办结", *said],
        [f"{prefix}{PHONE}", f"soon {PHONE}", *who, "东城区", "水务->供水", "", *said],
        [f"{prefix}{first + 3}", day, *who, "东城区", "", "", *said],
    ]


def _files(folder: Path) -> list[Path]:
    """A file in every format, with a name and a number in every column that may hold one, and in its own name."""
    folder.mkdir()
    csv, plain = folder / f"csv{PHONE}.csv", folder / "plain.csv"
    broken = f"C9,2024-01-05,{NAME},{PHONE}\n"
    csv.write_text(
        "\n".join(",".join(row) for row in [HEADER, *([cell.replace(",", ";") for cell in row] for row in _rows("C"))]) + "\n" + broken, "gb18030"
    )
    pd.DataFrame(_rows("G"), columns=HEADER).to_csv(plain, index=False)
    packed = folder / "packed.csv.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    book = write(folder / "book.xlsx", {"工单": [[f"导出人 {NAME} {PHONE}"], HEADER, *_rows("X")]})
    parquet = folder / "table.parquet"
    pd.DataFrame(_rows("P"), columns=HEADER).to_parquet(parquet)
    lines, listed = folder / "lines.ndjson", folder / "list.json"
    objects = [dict(zip(HEADER, row, strict=True)) | {"来电人": {"姓名": NAME, "电话": PHONE}} for row in _rows("N")]
    lines.write_text("\n".join(json.dumps(one, ensure_ascii=False) for one in objects) + f'\n{{"来电人": "{NAME}", "{PHONE}', "utf-8")
    listed.write_text(json.dumps([dict(zip(HEADER, row, strict=True)) for row in _rows("J")], ensure_ascii=False), "utf-8")
    plain.unlink()
    return [csv, packed, book, parquet, lines, listed]


def _found(texts: Iterable[str]) -> set[str]:
    """The secrets that occur."""
    found = set()
    for text in texts:
        found |= {secret for secret in SECRETS if secret in text}
        if any(digit.isdigit() for digit in text):
            digits = re.sub(r"[\s.()\-+]", "", text)
            found |= {number for number in NUMBERS if number in digits}
    return found


def _of_bytes(content: bytes) -> Iterator[str]:
    """What some bytes say: as text in every encoding, and as a table."""
    if content[:4] == b"PAR1":
        yield str(pq.read_table(io.BytesIO(content)).to_pylist())
    for encoding in ("utf-8", "gb18030", "utf-16-le"):
        yield content.decode(encoding, "ignore")


def _of_database(engine: Engine) -> Iterator[str]:
    metadata = MetaData()
    metadata.reflect(engine)
    assert metadata.tables
    with engine.connect() as conn:
        for table in metadata.tables.values():
            for row in conn.execute(select(table)):
                for cell in row:
                    if isinstance(cell, bytes):
                        yield from _of_bytes(cell)
                    elif cell is not None:
                        yield str(cell)


def test_the_search_finds_what_it_looks_for(folder: Path) -> None:
    for path in _files(folder / "in"):
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        if path.suffix != ".xlsx":
            assert {NAME, PHONE} <= _found(_of_bytes(content))


@pytest.mark.parametrize("keep_text", [False, True], ids=["without texts", "with texts"])
def test_no_table_holds_a_name_or_a_number_whatever_the_format(engine: Engine, folder: Path, keep_text: bool) -> None:
    privacy = Privacy(b"key", keep_text)
    for path in _files(folder / "in"):
        report = ingest(engine, path, CLOCK, rejects_dir=folder / "out", privacy=privacy)
        assert (report.added, report.rejected >= 2, report.rejects_path is not None) == (3, True, True)
        assert _found([report.name, *report.new_areas, *report.new_categories]) == set()
        assert _found([dry_run.report(dry_run.examine(path, CLOCK, Nodes.empty(), Nodes.empty(), None, privacy))]) == set()
    body = json.dumps([dict(zip(HEADER, row, strict=True)) for row in _rows("B")]).encode()
    request = Request("0", READERS["application/json"].read(io.BytesIO(body), "tickets", privacy), True, "key", privacy=privacy)
    assert apply_waiting(engine, CLOCK, accept(engine, request, CLOCK))

    assert _found(_of_database(engine)) == set()
    files = [*(folder / "out").iterdir()]
    assert len(files) == 6
    if engine.dialect.name == "sqlite":
        beside = [path for path in Path(str(engine.url.database)).parent.iterdir() if path.name.startswith(Path(str(engine.url.database)).name)]
        assert any(path.name.endswith("-wal") for path in beside)
        files += beside
    assert {path.name: _found(_of_bytes(path.read_bytes())) for path in files} == {path.name: set() for path in files}

    with reading(engine) as conn:
        stored = conn.execute(select(tickets)).all()
    assert len(stored) == 7 * 3
    callers = {row.ticket_id[1:]: set() for row in stored}
    for row in stored:
        callers[row.ticket_id[1:]].add(row.caller)
    assert callers["1"] == callers["2"]  # the same number, written otherwise, in seven files
    assert len(callers["1"] | callers["3"]) == 2
    assert {row.area for row in stored} == {"东城区", f"东城区 {STARS}", f"西城区 {STARS}"}
    for row in stored:
        assert all(bool(text) == keep_text for text in (row.title, row.text, row.closure_text))
        assert not keep_text or (row.text.endswith("小区停水") and STARS in row.text)


def test_where_texts_are_kept_the_caller_whom_the_row_names_is_masked_in_them(engine: Engine, folder: Path) -> None:
    path = folder / "a.csv"
    rows = ("A1,欧阳锋,13900000001,2024-01-05,X,Y,欧阳锋反映停水,找欧阳锋", "A2,,,2024-01-05,X,Y,水管,水", "A3,王,,2024-01-05,X,Y,王府井大街,水")
    path.write_text("\n".join(("工单编号,来电人,来电人电话,来电时间,区县,问题分类,标题,主要内容", *rows)), "utf-8")
    ingest(engine, path, CLOCK, privacy=Privacy(b"key", keep_text=True))
    sent = [{"ticket_id": "B1", "来电人": {"姓名": NAME}, "created_at": "2024-01-05", "district": "X", "category": "Y", "title": "停电"}]
    sent.append(sent[0] | {"ticket_id": "B2", "caller_name": "令狐冲", "text": "令狐冲家停电"})
    privacy = Privacy(b"key", keep_text=True)
    request = Request("0", READERS["application/json"].read(io.BytesIO(json.dumps(sent).encode()), "tickets", privacy), True, "key", privacy=privacy)
    assert apply_waiting(engine, CLOCK, accept(engine, request, CLOCK))
    with reading(engine) as conn:
        stored = {row.ticket_id: (row.title, row.text) for row in conn.execute(select(tickets))}
    assert stored["A1"] == (f"{STARS}反映停水", f"找{STARS}")
    assert (stored["A2"], stored["A3"]) == (("水管", "水"), ("王府井大街", "水"))
    assert (stored["B1"], stored["B2"]) == (("停电", None), ("停电", f"{STARS}家停电"))


def test_nothing_that_the_service_writes_holds_a_name_or_a_number(bench: Bench) -> None:
    given = bench.folder / "in"
    paths = _files(given)
    rng = np.random.default_rng(1)
    days = pd.date_range("2023-10-20", "2024-01-31")
    moments = np.repeat(days, rng.poisson(5, len(days)))
    history = pd.DataFrame([_rows("H")[i % 3] for i in range(len(moments))], columns=HEADER)
    history["工单编号"], history["来电时间"] = [f"H{i}" for i in range(len(moments))], moments
    history.to_parquet(given / "history.parquet")
    said = []
    wishes = {"as_of": "2024-01-31", "keep_text": "true", "log_level": "DEBUG"}
    for command in (("ingest", *map(str, paths), str(given / "history.parquet")), ("ingest", *map(str, paths), "--dry-run"), ("train",), ("status",)):
        done = bench.run(*command, **wishes)
        assert done.returncode == 0, done.stderr
        said += [done.stdout, done.stderr]
    damaged = given / f"damaged{PHONE}.csv"
    damaged.write_text(f'{",".join(HEADER)}\n{NAME},"{PHONE}', "utf-8")
    refused = bench.run("ingest", str(damaged), **wishes)
    assert refused.returncode == 2
    named = refused.stderr.replace(str(damaged), "FILE")  # the name that was typed is said back
    assert _found([*(text.replace(str(paths[0]), "FILE").replace(paths[0].name, "FILE") for text in said), named]) == set()

    written = [path for path in (bench.folder / ".weisu").rglob("*") if path.is_file()]
    assert {"weisu.db", "mlflow.db", "caller.key", "scores.csv", "series_scores.parquet"} <= {path.name for path in written}
    assert sum(path.name.startswith("rejects-") for path in written) == len(paths)
    for path in written:
        assert _found(_of_bytes(path.read_bytes())) == set(), path
        assert _found([path.name]) == set()
        if path.suffix == ".db":
            engine = create_engine(f"sqlite:///{path}")
            assert _found(_of_database(engine)) == set(), path
            engine.dispose()


# The shapes


@pytest.mark.parametrize(
    "number",
    [
        *(
            PHONE,
            "139 8765 4321",
            "139-8765-4321",
            "1 3 9 8 7 6 5 4 3 2 1",
            "+86 13987654321",
            "0086-139-8765-4321",
            "86 13987654321",
            "１３９８７６５４３２１",
        ),
        *("010-87654321", "(010)87654321", "0571-8765 4321", "(617) 555-0142", "617-555-0142", "617.555.0142", "+1 617 555 0142", "+44 20 7946 0958"),
        *("11010119900307721X", "110101199003077210", "11010119900307721x", "a.b@example.com"),
    ],
)
def test_what_is_shaped_like_a_number_of_a_person_is_masked(number: str) -> None:
    for text in (number, f"电话{number}", f"{number}。", f"({number})", f"call {number} now"):
        assert STARS in mask(text)
        assert STARS in mask_text(text)
        assert not set(re.findall(r"\d{3,}", mask(text)))


@pytest.mark.parametrize(
    "code",
    [
        "110105",
        "110105001000",
        "00-00002158",
        "101000295613",
        "2024-01-05",
        "SR24-00012345",
        "Section 8.2.1",
        "07 BROOKLYN",
        "水务->供水",
        "3#楼2单元501",
        "1.5",
        "311",
    ],
)
def test_codes_and_labels_stay_as_they_are(code: str) -> None:
    assert mask(code) == code


@settings(max_examples=200, deadline=None)
@given(
    st.text("停水电话联系 abcXYZ:,。->", max_size=12),
    st.integers(10**10 + 3 * 10**9, 2 * 10**10 - 1),
    st.text("停水电话联系 abcXYZ:,。->", max_size=12),
)
def test_no_mobile_number_passes_whatever_stands_around_it(before: str, number: int, after: str) -> None:
    for masking in (mask, mask_text):
        assert str(number) not in masking(f"{before}{number}{after}")


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_masking_twice_is_masking_once(text: str) -> None:
    assert mask(mask(text)) == mask(text)
    assert mask_text(mask_text(text)) == mask_text(text)


def test_texts_lose_names_that_are_told_and_keep_what_it_is_about() -> None:
    assert mask_text("张三女士反映:供热不热已3天,室温16度") == f"{STARS}女士反映:供热不热已3天,室温16度"
    assert mask_text("联系人:李四,楼道灯不亮") == f"{STARS},楼道灯不亮"
    assert mask_text("Mr. Smith says the pothole at Main St is 2 feet deep") == f"{STARS} says the pothole at Main St is 2 feet deep"


# The callers


def test_a_caller_is_the_same_however_the_number_is_written_and_another_key_tells_nothing() -> None:
    written = pa.array([PHONE, "+86 139 8765 4321", "0086-13987654321", "１３９８７６５４３２１", "13987654322", "wx_ABC", " WX_abc", "", None])
    hashes = Privacy(b"a").callers(written).tolist()
    assert len(set(hashes[:4])) == 1
    assert len({hashes[0], hashes[4], hashes[5]}) == 3
    assert hashes[5] == hashes[6]
    assert len(set(Privacy(b"a").callers(pa.array(["a1234567b", "c1234567d", "1234567", "1234567@a.cn"])).tolist())) == 4
    assert pd.isna(hashes[7:]).all()
    assert not set(hashes[:6]) & set(Privacy(b"b").callers(written).tolist()[:6])
    assert all(re.fullmatch("[0-9a-f]{16}", one) for one in hashes[:7])


def test_the_key_is_made_once_and_only_its_owner_can_read_it(folder: Path) -> None:
    key = secret.kept(folder / "data")
    assert len(key) == 64
    assert [path.name for path in (folder / "data").iterdir()] == ["caller.key"]
    assert stat.S_IMODE((folder / "data" / "caller.key").stat().st_mode) == 0o600
    assert secret.kept(folder / "data") == key
    assert secret.kept(folder / "other", "given") == b"given"
    assert not (folder / "other").exists()


def test_a_key_that_cannot_be_kept_is_bad_input(folder: Path) -> None:
    (folder / "data").write_text("")
    with pytest.raises(InputError, match="set WEISU_HASH_KEY"):
        secret.kept(folder / "data")


@pytest.mark.parametrize(
    "header", ["来电人", "来电人电话/账号", "联系人姓名", "email", "phone_number", "first_name", "caller_name", "身份证号", "contact"]
)
def test_headers_about_people_are_known(header: str) -> None:
    assert PERSONAL_HEADER.search(header)


@pytest.mark.parametrize(
    "header", ["district_name", "street_name", "sub_type_name", "service_name", "问题分类", "企业名称", "case_title", "agency_name"]
)
def test_headers_about_things_are_not(header: str) -> None:
    assert not PERSONAL_HEADER.search(header)
