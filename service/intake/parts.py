"""What every format of file gives: its header, and its rows part by part."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

ROWS_ABOVE = 10  # so many rows may explain the table before its header

Score = Callable[[Sequence[str]], int]  # how many known names some headers hold


@dataclass(frozen=True)
class Head:
    """A file's header and how its rows are written.

    Attributes:
        headers: names of the columns, by position.
        line: the row in which they stand, from 1; 0 where there is no such row.
        total: number of rows, if the file says so.
        encoding, clean, delimiter: of a text file; `clean` as in `service.intake.encoding`.
        sheet: of a workbook.
        is_list: whether a JSON file is one list, and not an object a line.
    """

    headers: tuple[str, ...]
    line: int = 0
    total: int | None = None
    encoding: str = ""
    clean: bool = True
    delimiter: str = ","
    sheet: str = ""
    is_list: bool = False


class Part(NamedTuple):
    """Some rows: their lines, Arrow arrays by position of the column, and line and reason of what is no row of the table."""

    lines: np.ndarray
    columns: dict[int, Any]
    broken: list[tuple[int, str]]
