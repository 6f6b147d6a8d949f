"""What is pulled from elsewhere, as `weisu.toml` says it: weather from a URL, tickets from a database or an Open311 endpoint."""

from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator


def _web(url: SecretStr) -> SecretStr:
    if not url.get_secret_value().startswith(("http://", "https://")):
        raise ValueError("an address begins with http:// or https://")
    return url


Web = Annotated[SecretStr, AfterValidator(_web)]  # it may carry a key or a password, which is never shown
Column = Annotated[str, Field(min_length=1, max_length=200)]


class Pull(BaseModel):
    """What all of them say.

    Attributes:
        name: of the pull, in commands, the ledger and logs.
        every_minutes: from one pull to the next.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")
    every_minutes: int = Field(60, ge=1, le=7 * 24 * 60)


class DriverPull(Pull):
    """Drivers from a URL.

    Attributes:
        headers: of the request, such as a key.
        date, issued_at: where these stand: a column of CSV; in JSON names with dots between, and what goes through a list is taken of each of its
            elements. Without `issued_at` a forecast was issued when it was fetched.
        values: where the values of each driver stand, by our name of the driver.
        observed: they were observed; else they are forecasts.
        district: code or label; empty: the whole city.
        late_after_hours: the weather is late if so long nothing newer has come. A day that was observed is told after its end, so that a day and a
            half is no delay.
    """

    url: Web
    every_minutes: int = Field(180, ge=1, le=7 * 24 * 60)
    headers: dict[str, SecretStr] = Field({})
    format: Literal["json", "csv"] = "json"
    date: Column
    values: dict[Column, Column] = Field(min_length=1)
    issued_at: str = ""
    observed: bool = False
    district: str = ""
    late_after_hours: int = Field(36, ge=1, le=24 * 30)


class SqlPull(Pull):
    """Tickets from a query.

    Attributes:
        url: any address of SQLAlchemy.
        query: gives tickets, in columns of our names or those of a known export.
        watermark: the column that tells which rows are new or changed: a moment, or a number that grows.
        overlap: how far each pull looks back for rows that were late: minutes, or of a number its own unit.
        source: of all tickets; empty: as in files.
    """

    url: SecretStr
    query: str = Field(min_length=1)
    watermark: Column
    every_minutes: int = Field(5, ge=1, le=7 * 24 * 60)
    overlap: int = Field(60, ge=0)
    source: str = Field("", max_length=200)


class Open311Pull(Pull):
    """Tickets from an Open311 endpoint (GeoReport v2).

    Attributes:
        url: of the endpoint, to which `/requests.json` is added.
        start: first local day.
        window_days: days that one question spans: the specification allows 90.
        overlap_days: days that each pull looks back, for late tickets and changed states.
        jurisdiction, api_key: as the endpoint wants them.
        source: of all tickets; empty: as in files.
    """

    url: Web
    start: date
    every_minutes: int = Field(15, ge=1, le=7 * 24 * 60)
    window_days: int = Field(30, ge=1, le=90)
    overlap_days: int = Field(7, ge=0, le=90)
    jurisdiction: str = ""
    api_key: SecretStr = SecretStr("")
    source: str = Field("", max_length=200)


AnyPull = DriverPull | SqlPull | Open311Pull


class Pulls(BaseModel):
    """Everything that is pulled."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    drivers: tuple[DriverPull, ...] = ()
    sql: tuple[SqlPull, ...] = ()
    open311: tuple[Open311Pull, ...] = ()

    @model_validator(mode="after")
    def _names_differ(self) -> "Pulls":
        names = list(self.by_name)
        if len(names) < len(self.drivers) + len(self.sql) + len(self.open311):
            raise ValueError("two pulls have the same name")
        return self

    @property
    def by_name(self) -> dict[str, AnyPull]:
        """Each by its name."""
        every: list[AnyPull] = [*self.drivers, *self.sql, *self.open311]
        return {one.name: one for one in every}

    def __str__(self) -> str:
        return ", ".join(self.by_name)
