"""Bodies: read as the standard library reads JSON, row by row, with the line of what is broken."""

import json
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.errors import InputError
from service.intake import bodies, json_stream
from service.intake.bodies import LONGEST, READERS, ROWS
from service.intake.files import Batch
from service.intake.privacy import Privacy

CELL = st.one_of(st.none(), st.text(max_size=5), st.integers(), st.booleans(), st.lists(st.integers(), max_size=1))
TICKET = st.dictionaries(st.sampled_from(["ticket_id", "created_at", "category", "district", "来电人姓名", "x"]), CELL)
BLOCK = st.sampled_from([1, 2, 3, 7, 1 << 20])  # bytes that are read at once: a body may break anywhere
ELEMENT = st.one_of(TICKET, TICKET, TICKET, CELL)


def read_json(body: bytes, block: int = 1 << 20) -> Iterator[Batch]:
    with pytest.MonkeyPatch.context() as patch:
        if block < 1 << 20:
            patch.setattr(json_stream, "_BLOCK", block)
        yield from READERS["application/json"].read(BytesIO(body), "tickets", Privacy())


def read_lines(body: bytes) -> Iterator[Batch]:
    return READERS["application/x-ndjson"].read(BytesIO(body), "tickets", Privacy())


def taken(batches: Iterator[Batch]) -> tuple[list[tuple[int, Any]], set[int]]:
    """Line and ticket_id of the rows, and the lines that are broken."""
    rows: list[tuple[int, Any]] = []
    broken: set[int] = set()
    for batch in batches:
        rows += zip(batch.lines.tolist(), batch.columns["ticket_id"].to_pylist(), strict=True)
        broken |= {line for line, _ in batch.broken}
        assert {len(column) for column in batch.columns.values()} <= {len(batch.lines)}
        assert not batch.columns.keys() & {"来电人姓名", "x"}
    return rows, broken


def expected(elements: list[Any]) -> tuple[list[tuple[int, Any]], set[int]]:
    rows, broken = [], set()
    for line, element in enumerate(elements, 1):
        read = ("ticket_id", "created_at", "category", "district")
        plain = isinstance(element, dict) and all(_storable(element.get(name)) for name in read)
        if plain:
            number = element.get("ticket_id")
            rows.append((line, number if number is None else str(number)))
        else:
            broken.add(line)
    return rows, broken


def _storable(cell: Any) -> bool:
    return cell is None or (isinstance(cell, int) and not isinstance(cell, bool)) or (isinstance(cell, str) and "\0" not in cell)


@settings(max_examples=60, deadline=None)
@given(elements=st.lists(ELEMENT, max_size=6), indent=st.sampled_from([None, 0, 2]), ascii_only=st.booleans(), block=BLOCK)
def test_an_array_is_read_as_the_standard_library_reads_it(elements: list[Any], indent: int | None, ascii_only: bool, block: int) -> None:
    body = json.dumps(elements, indent=indent, ensure_ascii=ascii_only).encode()
    assert taken(read_json(body, block)) == expected(elements)


@settings(max_examples=60, deadline=None)
@given(elements=st.lists(ELEMENT, max_size=6), end=st.sampled_from(["\n", "\r\n", " \n"]), ascii_only=st.booleans())
def test_lines_are_read_as_the_standard_library_reads_them(elements: list[Any], end: str, ascii_only: bool) -> None:
    body = "".join(json.dumps(element, ensure_ascii=ascii_only) + end for element in elements).encode()
    assert taken(read_lines(body)) == expected(elements)


@settings(max_examples=80, deadline=None)
@given(elements=st.lists(TICKET, min_size=1, max_size=4), data=st.data(), block=BLOCK)
def test_whatever_is_cut_off_is_refused_and_its_line_named(elements: list[Any], data: st.DataObject, block: int) -> None:
    text = json.dumps(elements, indent=1, ensure_ascii=False)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(json.JSONDecodeError) as wanted:
        json.loads(cut)
    with pytest.raises(InputError) as caught:
        taken(read_json(cut.encode(), block))
    named = int(caught.value.what.split()[1])
    assert named in (wanted.value.lineno, cut.count("\n") + 1)  # an element that breaks off is named where it ends


def test_long_bodies_come_in_batches() -> None:
    body = ("[" + ",".join(f'{{"ticket_id": {number}}}' for number in range(2 * ROWS + 1)) + "]").encode()
    sizes = [len(batch.lines) for batch in read_json(body)]
    assert sizes == [ROWS, ROWS, 1]
    rows, _ = taken(read_json(body))
    assert rows == [(number + 1, str(number)) for number in range(2 * ROWS + 1)]


@pytest.mark.parametrize("read", [read_json, read_lines])
def test_a_name_is_as_long_as_a_name(read: Callable[[bytes], Iterator[Batch]]) -> None:
    for letters, kept in ((LONGEST, 1), (LONGEST + 1, 0)):
        body = json.dumps({"ticket_id": "1", "district": "区" * letters, "text": "x" * 5000}).encode()
        assert len(taken(read(body))[0]) == kept


def test_every_form_says_how_its_rows_are_told() -> None:
    assert {name: form.by_index for name, form in READERS.items() if "json" in name} == {
        "application/json": True,
        "application/x-ndjson": False,
        "application/ndjson": False,
        "application/jsonl": False,
    }


@pytest.mark.parametrize("read", [read_json, read_lines])
def test_no_more_than_a_batch_is_held_of_long_tickets(read: Callable[[bytes], Iterator[Batch]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "LETTERS", 1000)
    body = b"[" + b",".join(json.dumps({"ticket_id": f"{n}", "text": "x" * 300}).encode() for n in range(9)) + b"]"
    body = body if read is read_json else body[1:-1].replace(b"},", b"}\n")
    assert [len(batch.lines) for batch in read(body)] == [4, 4, 1]


@pytest.mark.parametrize("read", [read_json, read_lines])
def test_a_ticket_without_an_end_is_refused(read: Callable[[bytes], Iterator[Batch]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_stream, "LONGEST_VALUE", 1000)
    monkeypatch.setattr(json_stream, "_BLOCK", 100)
    with pytest.raises(InputError, match=r"line 1 .*MB"):
        taken(read(b'{"ticket_id": "' + b"x" * 100_000))
