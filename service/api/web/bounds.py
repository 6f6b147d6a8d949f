"""The limits that an installation sets to the questions of all paths: rows of a page, days of a span."""

from contextlib import suppress
from datetime import date

from fastapi import Request

from service.api.errors import Problem
from service.settings import Settings


def require_within(request: Request, settings: Settings) -> None:
    """Raises Problem 422 if a request asks for more rows or days than the settings allow. What is no number or date its path refuses itself."""
    asked = request.query_params
    with suppress(ValueError):
        if "limit" in asked and int(asked["limit"]) > settings.most_rows:
            raise Problem(422, f"a page holds {settings.most_rows} rows at most", where="limit", mend="take the following pages with 'next'")
    with suppress(ValueError):
        if "from" in asked and "to" in asked:
            require_days(date.fromisoformat(asked["from"]), date.fromisoformat(asked["to"]), settings)


def require_days(start: date, end: date, settings: Settings) -> None:
    """Raises Problem 422 if a span has more days than the settings allow. An end that is left open is where the answer would end."""
    days = (end - start).days + 1
    if days > settings.most_days:
        mend = "ask for one span after the other, with 'from' and 'to'"
        raise Problem(422, f"{days} days are more than {settings.most_days}", where="from, to", mend=mend)
