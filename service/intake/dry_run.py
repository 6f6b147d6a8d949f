"""What a file would bring: how it is understood, what would be taken, and what would not and why. Nothing is stored."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.errors import InputError
from service.clock import Clock
from service.intake import breaks, city_tables, files, normalise
from service.intake.columns import ALIASES, plain
from service.intake.files import Batch, TableFile
from service.intake.mapping import Mapping
from service.intake.nodes import ROOT, UNKNOWN, Nodes
from service.intake.normalise import Rows
from service.intake.privacy import PERSONAL_HEADER, TEXTS, Privacy, mask

SHOWN = 12  # names of a list that are shown


@dataclass
class Finding:
    """A file, read to its end.

    Attributes:
        rows, taken, left_out, later, rejected: numbers of rows; left out are those that are no demand, later those after the clock.
        reasons: why rows are rejected: number and first line.
        first_day, last_day, has_hours: of the rows taken.
        districts, categories: rows (counts: their sum) by code.
        met: codes of areas and of categories that are not stored yet.
        repeated: rows whose ticket id another row of the file has.
        sources: rows by the system that numbers the tickets.
    """

    file: TableFile
    kind: str
    zone: str
    rows: int = 0
    taken: int = 0
    left_out: int = 0
    later: int = 0
    rejected: int = 0
    reasons: dict[str, tuple[int, int]] = field(default_factory=dict)
    first_day: pd.Timestamp | None = None
    last_day: pd.Timestamp | None = None
    has_hours: bool = False
    districts: Counter[str] = field(default_factory=Counter)
    categories: Counter[str] = field(default_factory=Counter)
    met: tuple[int, int] = (0, 0)
    repeated: int = 0
    sources: Counter[str] = field(default_factory=Counter)

    def add(self, batch: Batch, rows: Rows, day: str) -> None:
        """Adds what became of a batch."""
        self.rows += len(batch.lines) + len(batch.broken) + batch.left_out
        self.taken += len(rows.kept)
        self.left_out += rows.left_out + batch.left_out
        self.later += rows.later
        self.rejected += len(rows.rejects)
        for reason, lines in rows.rejects.groupby("reason", sort=False)["line"]:
            number, first = self.reasons.get(str(reason), (0, int(lines.iloc[0])))
            self.reasons[str(reason)] = (number + len(lines), min(first, int(lines.min())))
        if len(rows.kept):
            first_day, last_day = rows.kept[day].min(), rows.kept[day].max()
            self.first_day = first_day if self.first_day is None else min(self.first_day, first_day)
            self.last_day = last_day if self.last_day is None else max(self.last_day, last_day)

    def check(self) -> None:
        """Raises InputError if an ingest would refuse the file as a whole."""
        if self.rows == 0:
            raise InputError("has no rows", str(self.file.path))
        if self.rejected == self.rows:
            raise InputError(f"all {self.rows} rows are wrong", str(self.file.path), "correct them")


def examine(path: Path, clock: Clock, areas: Nodes, categories: Nodes, mapping: Mapping | None = None, privacy: Privacy | None = None) -> Finding:
    """Reads a file as an ingest would, and stores nothing.

    Args:
        areas, categories: the trees as they are stored; what the file adds is noted in them.
    Raises:
        InputError: as an ingest would, but for a file all of whose rows are wrong.
    """
    file = files.open_table(path, mapping, privacy)
    found = Finding(file, file.layout.kind, clock.zone.key)
    if file.layout.kind == "tickets":
        _tickets(found, areas, categories, clock, privacy)
    elif file.layout.kind == "counts":
        _counts(found, areas, categories, clock)
    elif file.layout.kind == "drivers":
        for batch in files.batches(file):
            found.add(batch, normalise.drivers(batch, areas, clock, file.mapping), "date")
    else:
        _city_table(found, areas, categories, clock)
    found.met = (len(areas.found), len(categories.found))
    return found


def report(found: Finding) -> str:
    """A finding for people to read."""
    file, head = found.file, found.file.head
    lines = [("read as", f"{found.kind}; {_written(file)}"), ("columns", _columns(file)), *_not_read(file)]
    lines.append(("rows", _numbers(found)))
    if found.first_day is not None and found.last_day is not None:
        hours = "" if found.kind != "tickets" else "; with the time of day" if found.has_hours else "; dates only, without the time of day"
        lines.append(("days", f"{found.first_day.date()} to {found.last_day.date()} in {found.zone}{hours}"))
    for name, counted, met in (("districts", found.districts, found.met[0]), ("categories", found.categories, found.met[1])):
        if counted:
            new = f"; {met:,} codes would be new (with their upper levels)" if met else ""
            lines.append((name, f"{len(counted):,}: {_most(counted)}{new}"))
    if len(found.sources) > 1:
        meant = "tickets of the same id are different ones in each; if these are channels of one system, set constants: source in a mapping"
        lines.append(("sources", f"{len(found.sources):,}: {_most(found.sources)} ({meant})"))
    for reason, (number, first) in sorted(found.reasons.items(), key=lambda item: -item[1][0])[:SHOWN]:
        lines.append(("rejected", f"{number:,} rows: {reason} (first in {'row' if not head.line and not _has_lines(file) else 'line'} {first:,})"))
    if len(found.reasons) > SHOWN:
        lines.append(("rejected", f"and for {len(found.reasons) - SHOWN} more reasons"))
    text = "\n".join(f"  {name:<11}{value}" for name, value in lines)
    return f"{mask(file.path.name)}\n{text}"


def _tickets(found: Finding, areas: Nodes, categories: Nodes, clock: Clock, privacy: Privacy | None) -> None:
    keys = []
    for batch in files.batches(found.file):
        rows = normalise.tickets(batch, areas, categories, clock, None, found.file.mapping, privacy)
        found.add(batch, rows, "day")
        kept = rows.kept
        keys.append(pd.util.hash_array((kept["source"].astype("str") + "\0" + kept["ticket_id"]).to_numpy(dtype=object)))
        found.sources.update({str(name): int(number) for name, number in kept["source"].value_counts().items() if number})
        local = kept["created_at"].dt.tz_convert(clock.zone)
        found.has_hours = found.has_hours or bool((local != local.dt.normalize()).any())
        for code, number in kept["area"].value_counts().items():
            if number:
                found.districts[_district(areas, str(code))] += int(number)
        found.categories.update({str(code): int(number) for code, number in kept["category"].value_counts().items() if number})
    found.repeated = found.taken - len(np.unique(np.concatenate(keys))) if keys else 0


def _counts(found: Finding, areas: Nodes, categories: Nodes, clock: Clock) -> None:
    for batch in files.batches(found.file):
        rows = normalise.counts(batch, areas, categories, clock, found.file.mapping)
        found.add(batch, rows, "day")
        for place, number in rows.kept.groupby("area")["count"].sum().items():
            found.districts[_district(areas, areas.codes[int(str(place))])] += int(number)
        for place, number in rows.kept.groupby("category")["count"].sum().items():
            found.categories[categories.codes[int(str(place))]] += int(number)


def _city_table(found: Finding, areas: Nodes, categories: Nodes, clock: Clock) -> None:
    file = found.file
    if found.kind == breaks.MAP:
        rows = breaks.read_map(file, categories, clock.zone)
    elif found.kind == breaks.SPANS:
        rows = breaks.read_spans(file, areas, categories, clock.zone)
    else:
        rows = city_tables.read(file)
        found.kind = city_tables.kind(rows, file)
        city_tables.check(rows, areas if found.kind == "areas" else categories, file)
    found.rows = found.taken = len(rows)


def _district(areas: Nodes, code: str) -> str:
    while areas.parents.get(code, ROOT) not in (ROOT, ""):
        code = areas.parents[code]
    return code


def _written(file: TableFile) -> str:
    head = file.head
    parts = [file.format + (" in gzip" if file.path.suffix.lower() == files.ZIPPED else "")]
    if head.sheet:
        parts.append(f"sheet '{head.sheet}'")
    if head.encoding:
        parts.append(head.encoding + ("" if head.clean else ", with bytes that are no text in it"))
    if file.format == "CSV":
        parts.append(f"separated by {'tabs' if head.delimiter == chr(9) else repr(head.delimiter)}")
    if head.line > 0:
        parts.append(f"header in line {head.line}")
    parts.append(f"export of {file.layout.export}" if file.layout.export else "headers of ours")
    return "; ".join(parts)


def _columns(file: TableFile) -> str:
    named = [
        ours if plain(file.headers[place]) == ours else f"{ours} ← {file.headers[place].strip()}" for ours, place in file.layout.positions.items()
    ]
    return ", ".join([*named, *(f"{ours} = '{value}' for all" for ours, value in file.layout.constants.items())])


def _not_read(file: TableFile) -> list[tuple[str, str]]:
    used = set(file.layout.positions.values())
    left = [header.strip() for place, header in enumerate(file.headers) if place not in used and header.strip()]
    personal = [header for header in left if PERSONAL_HEADER.search(plain(header))]
    texts = [header for header in left if header not in personal and any(plain(header) in _headers_of(name) for name in TEXTS)]
    others = [header for header in left if header not in personal and header not in texts]
    lists = (("personal", personal), ("free text", texts), ("not needed", others))
    return [("not read", f"{', '.join(headers)} ({why})") for why, headers in lists if headers]


def _headers_of(ours: str) -> tuple[str, ...]:
    return (ours, *ALIASES[ours])


def _numbers(found: Finding) -> str:
    parts = [f"{found.rows:,}: {found.taken:,} would be taken"]
    if found.repeated:
        parts[0] += f" ({found.repeated:,} of them name a ticket once more)"
    parts += [f"{found.left_out:,} left out as no demand"] if found.left_out else []
    parts += [f"{found.later:,} later than the clock"] if found.later else []
    return ", ".join([*parts, f"{found.rejected:,} rejected"])


def _most(counted: Counter[str]) -> str:
    shown = ", ".join(f"{code} {number:,}" for code, number in counted.most_common(SHOWN) if code != UNKNOWN)
    missing = f"; {counted[UNKNOWN]:,} rows name none" if counted.get(UNKNOWN) else ""
    return shown + (", …" if len(counted) > SHOWN else "") + missing


def _has_lines(file: TableFile) -> bool:
    return file.format == "JSON" and not file.head.is_list
