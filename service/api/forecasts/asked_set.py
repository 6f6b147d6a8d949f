"""Which forecast set a request is answered from, and whether it holds the days asked for."""

from datetime import date

from pydantic import Field

from forecasting.errors import InputError
from service.api.deps import Service
from service.api.errors import Problem
from service.api.forecasts.published import LoadedSet
from service.api.remembered import City
from service.api.web.parameters import Parameters, as_of
from service.store import forecast_sets
from service.store.engine import reading


class AsOf(Parameters):
    """Which set to answer from."""

    as_of: str | None = Field(
        None,
        max_length=40,
        description="Answer with the forecasts that were current then: a local date (its end) or a moment.",
        examples=["2025-11-08"],
    )


def asked_set(service: Service, city: City, as_of_text: str | None, set_id: int | None = None) -> LoadedSet:
    """The set to answer from: that of the page before, that of `as_of`, or the current one.

    Raises:
        Problem: nothing was published by then (404), or nothing is at all (503).
        InputError: the page before was of no published set.
    """
    if as_of_text is not None and set_id is None:
        with reading(service.engine) as conn:
            found = service.forecasts.as_of(conn, as_of(as_of_text, service.clock))
        if found is None:
            raise Problem(404, f"no forecasts were published by {as_of_text}", where="as_of", mend="ask for a later day")
        return found
    if set_id is not None and (city.current is None or city.current.id != set_id):
        with reading(service.engine) as conn:
            about = forecast_sets.about(conn, set_id)
            if about is None or about.published_at is None:  # what the gate refused, or a challenger made, is not for those who make up tokens
                raise InputError("names forecasts that were never published", "next", "begin with the first page again")
            return service.forecasts.get(conn, set_id)
    if city.current is None:
        with reading(service.engine) as conn:
            if forecast_sets.pointer(conn) is not None:
                raise Problem(503, "the published forecasts cannot be read", mend="see 'forecasts.not_read' in the log, or 'weisu rollback'")
        raise Problem(503, "no forecasts are published yet", mend="wait for the first nightly run, or start 'weisu train'")
    return city.current


def require_days(first_day: date, last_day: date, start: date, end: date, where: str) -> None:
    """Raises InputError if a set that holds `first_day` to `last_day` holds none of the days from `start` to `end`."""
    if start > last_day or end < first_day:
        days = f"{first_day} to {last_day}"
        raise InputError(f"the forecast set holds {days}, none of the days asked for", where, f"ask for days from {days}")
