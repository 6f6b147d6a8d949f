"""Query parameters: their types, their limits, and how each is read."""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Literal

from fastapi import Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from forecasting.errors import InputError
from service.api.trees.nodes import Nodes
from service.api.web import pages
from service.api.web.forms import Form
from service.clock import Clock, parse_as_of

DEFAULT_ROWS = 1000  # of a JSON page: about 0.3 MB, answered in some 20 ms
EARLIEST, LATEST = date(1970, 1, 2), date(9999, 1, 1)  # days whose ends every database and zone can tell; nothing that was done lies beyond
MOST_ROWS = 20_000  # of a JSON page: holds 16 districts x 28 categories x 28 days at once

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _day(value: object) -> date:
    """A date written as a date; numbers and moments, which pydantic would take too, are a slip."""
    if isinstance(value, str) and _DAY.fullmatch(value):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    raise InputError(f"'{str(value)[:40]}' is no date", "", "write it like 2025-11-15")


Day = Annotated[date, BeforeValidator(_day)]


class Parameters(BaseModel):
    """The base of every set of query parameters: a misspelt filter is an error, for without it the answer would be another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, given: Any) -> Any:
        """A form sends the fields that nobody filled in, too."""
        return {name: value for name, value in given.items() if value not in ("", [""])} if isinstance(given, dict) else given


NoParameters = Annotated[Parameters, Query()]
"""Of an endpoint without query parameters: any that is given is a slip."""


class Paged(Parameters):
    """Parameters of a list that comes in pages."""

    limit: int | None = Field(
        None,
        ge=1,
        le=MOST_ROWS,
        description=f"Most rows of a page: {DEFAULT_ROWS} unless given, {MOST_ROWS} at most. A file holds all rows unless it is given.",
        examples=[DEFAULT_ROWS],
    )
    next: str | None = Field(None, max_length=pages.LONGEST, description="`next` of the page before; send the other parameters again unchanged.")


_BOM: Any = Field(False, description="Begin a CSV with a byte-order mark, so that Excel reads Chinese text (供 Excel 使用).")


class CsvTwin(Parameters):
    """Parameters of an answer that comes as JSON or CSV."""

    format: Literal["json", "csv"] | None = Field(
        None,
        description="Form of the answer; unless given, what `Accept` asks for, else JSON. CSV is UTF-8 with a header line; text cells that begin "
        "like a formula get a `'`.",
        examples=["csv"],
    )
    bom: bool = _BOM


class Table(Paged, CsvTwin):
    """Parameters of a list that comes as JSON or CSV."""


class Export(Paged):
    """Parameters of a list that comes in every form of `forms.Form`."""

    format: Form | None = Field(
        None,
        description="Form of the answer; unless given, what `Accept` asks for, else JSON. All but JSON hold all rows unless `limit` is given. "
        "CSV is UTF-8 with a header line; text cells that begin like a formula get a `'`.",
        examples=["csv"],
    )
    bom: bool = _BOM


class Period(Parameters):
    """A span of days, both ends included."""

    start: Day | None = Field(None, alias="from", description="First local date.", examples=["2025-11-09"])
    end: Day | None = Field(None, alias="to", description="Last local date, included.", examples=["2025-11-15"])

    def bounds(self, start: date, end: date) -> tuple[date, date]:
        """The days asked for, with defaults for an end that is left open.

        Raises:
            InputError: the end lies before the start.
        """
        first = self.start or (min(start, self.end) if self.end else start)
        last = self.end or max(end, first)
        if first > last:
            raise InputError(f"'from' ({first}) lies after 'to' ({last})", "from", "swap the two dates")
        return first, last


class Places(Parameters):
    """Nodes of both trees."""

    area: list[str] = Field([], description="Nodes of the area tree, repeated or comma-separated: district, street, `ALL`.", examples=[["110105"]])
    district: list[str] = Field([], description="The same as `area`.")
    street: list[str] = Field([], description="The same as `area`.")
    category: list[str] = Field([], description="Nodes of the category tree, repeated or comma-separated.", examples=[["HEAT"]])

    def areas(self, tree: Nodes[Any]) -> frozenset[str]:
        """Codes of the areas asked for; empty: none is named. Raises InputError for an unknown one."""
        return frozenset().union(*(named(tree, getattr(self, name), name) for name in ("area", "district", "street")))

    def categories(self, tree: Nodes[Any]) -> frozenset[str]:
        """Codes of the categories asked for; empty: none is named. Raises InputError for an unknown one."""
        return named(tree, self.category, "category")


def named(tree: Nodes[Any], values: Iterable[str], where: str) -> frozenset[str]:
    """Codes from a repeated, comma-separated parameter. A code may itself have a comma: a value that is a code is not split.

    Raises:
        InputError: the tree lacks one, or a value is empty.
    """
    found: set[str] = set()
    for value in values:
        found.update([value] if value in tree.by_code else (part for part in map(str.strip, value.split(",")) if part))
    return tree.known(found, where)


def as_of(text: str, clock: Clock) -> datetime:
    """The moment that `as_of` names: a date means its end. Raises InputError if it is neither date nor moment."""
    try:
        return parse_as_of(text, clock.zone)
    except (InputError, OverflowError):
        raise InputError(f"'{text}' is neither a date nor a moment", "as_of", "write it as 2025-11-15 or 2025-11-15T09:30+08:00") from None


def since(text: str, clock: Clock) -> datetime:
    """The moment that `since` names: a date means its start. Raises InputError if it is neither date nor moment."""
    try:
        if _DAY.fullmatch(text):
            return datetime.combine(date.fromisoformat(text), time.min, clock.zone).astimezone(UTC)  # OverflowError: before the first of all days
        return parse_as_of(text, clock.zone)
    except (ValueError, OverflowError):
        raise InputError(f"'{text}' is neither a date nor a moment", "since", "write it as 2025-11-15 or 2025-11-15T09:30+08:00") from None
