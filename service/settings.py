"""Every setting of the service, in one class: environment (`WEISU_…`) before `weisu.toml` before the defaults."""

import tomllib
from datetime import date, timedelta
from functools import cached_property
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from forecasting.errors import InputError
from service.clock import Clock, parse_as_of
from service.pull_settings import Pulls

TOML = "weisu.toml"  # in the folder where `weisu` is started


# Ticket types that are no demand: questions that are answered at once. More than half of all calls, they follow no problem of the city.
NOT_DEMAND = ("咨询", "咨询类", "业务咨询", "政策咨询", "consultation", "inquiry", "enquiry", "311 information only call")


# Networks that no address of the internet lies in (RFC 1918, RFC 4193), and this machine.
PRIVATE = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")


def _network(text: str) -> str:
    ip_network(text, strict=False)  # ValueError says what is wrong
    return text


class Settings(BaseSettings):
    """What an installation decides."""

    model_config = SettingsConfigDict(env_prefix="WEISU_", toml_file=TOML, extra="forbid")

    data_dir: Path = Field(Path(".weisu"), description="Everything that the service writes lies below this folder.")
    database_url: str = Field(
        "",
        description="Address of the database, sqlite:////path/weisu.db or postgresql://user:password@host/weisu; empty: SQLite in the data folder.",
    )
    timezone: str = Field("Asia/Shanghai", description="The city's time zone; all dates are local dates of it.")
    country: str = Field("CN", description="Country of the holiday calendar (ISO 3166), or none.")
    as_of: str = Field("", description="Freezes the clock: a date (its end) or a moment. For demos, tests and replays.")
    nightly_at: str = Field("02:00", pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="Local time of the nightly training.")
    mlflow_tracking_uri: str = Field("", description="MLflow store: a database or a server; empty: SQLite in the data folder.")
    host: str = Field("127.0.0.1", description="Address that the API listens on.")
    mlflow_host: str = Field("127.0.0.1", description="Address that the MLflow page listens on; it has no login, so keep it to this machine.")
    api_port: int = Field(8000, ge=1, le=65535, description="Port of the API.")
    mlflow_port: int = Field(5000, ge=1, le=65535, description="Port of the MLflow page.")
    recipe: str = Field("", description="Path of the YAML recipe of the nightly training, a candidate for the gate; empty: the default one.")
    challenger: str = Field("", description="Path of the YAML recipe of a challenger that forecasts in shadow every night; empty: none does.")
    horizon: int = Field(28, ge=1, le=90, description="Days ahead that every night forecasts.")
    false_alerts_per_day: float = Field(1.5, gt=0, le=50, description="The alert budget: expected false demand alerts a day, city-wide.")
    intake_body_mb: int = Field(
        256,
        ge=1,
        le=4096,
        description="Largest body of a request that brings tickets or drivers, in MiB; it is read from the disk, not held in memory.",
    )
    intake_rows_at_once: int = Field(
        2000,
        ge=0,
        le=50_000,
        description="A request of so many tickets is counted when it is answered; one of more is accepted and counted soon after.",
    )
    workers: int = Field(2, ge=1, le=64, description="Processes of `weisu backtest`, which works on so many cutoffs at a time.")
    dask_scheduler: str = Field(
        "", description="Address of a Dask scheduler, tcp://host:8786, whose workers work for `weisu backtest` and `replay`; empty: processes do."
    )
    body_kb: int = Field(256, ge=1, le=16_384, description="Largest body of any other request, in KiB; paths that need less take less.")
    most_rows: int = Field(20_000, ge=1_000, le=20_000, description="Most rows of one page of a list (`limit`).")
    most_days: int = Field(
        3_660,
        ge=1,
        le=36_600,
        description="Longest span of days, `from` to `to`, that one request may ask for; an end that is left open is where the answer would end.",
    )
    request_seconds: float = Field(
        90,
        gt=0,
        le=3_600,
        description="A request that is not answered for so long, whose body stands still, or whose answer is not read, is given up; "
        "a long poll takes 60.",
    )
    requests_per_minute: int = Field(
        6_000,
        ge=1,
        description="Requests of a key in a minute, of each API process; a file (CSV, Parquet …) counts as 20. 400 centres ask 4,800.",
    )
    failures_per_minute: int = Field(
        100, ge=1, description="Requests without a valid key, in a minute and from one address, that are told why; further ones get 429."
    )
    oidc_issuer: str = Field("", description="Identity provider (OIDC) whose tokens are taken, as https://login.example.org/realm; empty: none.")
    oidc_audience: str = Field("", description="Audience (`aud`) that its tokens must be for; needed with an issuer.")
    oidc_jwks_url: str = Field("", description="Where it publishes its keys (JWKS); empty: as its /.well-known/openid-configuration says.")
    oidc_scope_claim: str = Field(
        "scope", description="Claim that says what the bearer of a token may do: scopes, or names that the next setting maps."
    )
    oidc_scopes: dict[str, tuple[str, ...]] = Field(
        {}, description='Scopes of a name in that claim, as a JSON object: {"duty officers": ["alerts:write"]}. Our own scopes count as they are.'
    )
    oidc_districts_claim: str = Field(
        "", description="Claim with the codes of the districts that a token is limited to (`ALL`: the whole city); empty: no token is limited."
    )
    keep_text: bool = Field(False, description="Keep titles, contents and replies of tickets, masked; otherwise they are not even read.")
    hash_key: SecretStr = Field(
        SecretStr(""), description="The installation's secret: key of the hashes of callers and API keys; empty: made once, in the data folder."
    )
    not_demand: tuple[str, ...] = Field(NOT_DEMAND, description="Ticket types that are left out, as a JSON list; they are no demand.")
    webhook_private: bool = Field(False, description="Webhooks may go to this machine and to private networks.")
    webhook_allow: tuple[str, ...] = Field(
        (), description="Host names, addresses and networks (10.1.0.0/16) that webhooks may go to although they are private, as a JSON list."
    )
    alertmanager_url: str = Field("", description="Address of a Prometheus Alertmanager that alerts are pushed to; empty: they are not.")
    backup_dir: str = Field("", description="Folder into which the database is backed up every night; empty: it is not.")
    keep_backups: int = Field(7, ge=1, description="So many nightly backups are kept, the newest ones.")
    keep_days: int = Field(
        90,
        ge=7,
        description="Days for which forecast sets that were never published, deliveries of webhooks, details of errors, and rows set aside are kept.",
    )
    # Thirteen months: a month stands beside that of last year. The least: reporting delays and drift look back ten weeks.
    keep_history_days: int = Field(
        400,
        ge=100,
        description="Days back to which accuracy, drift, scores of days and MLflow's runs are kept, and counts can be asked for as they were known.",
    )
    pull: Pulls = Field(Pulls(), description="What is pulled from elsewhere: tables of `weisu.toml`, see [connectors](connectors.md).")
    log_level: str = Field("INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="Least severe log line that is written.")
    log_format: str = Field("text", pattern="^(text|json)$", description="How log lines are written: text for people, json for programs.")
    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://\S+)?$",
        description="Address of an OpenTelemetry collector (OTLP over HTTP), as http://collector:4318, that traces go to; empty: none are made.",
    )
    metrics_from: tuple[Annotated[str, AfterValidator(_network)], ...] = Field(
        PRIVATE, description="Addresses and networks, as a JSON list, that may ask for `/metrics`; all others are refused."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)

    @cached_property
    def zone(self) -> ZoneInfo:
        """The city's zone. Raises InputError if there is none of that name."""
        try:
            return ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: a folder of zones, such as "Asia"
            raise InputError(f"no time zone is named '{self.timezone}'", "WEISU_TIMEZONE", "write it like Asia/Shanghai") from None

    @cached_property
    def clock(self) -> Clock:
        """The service's clock, frozen if `as_of` is set."""
        return Clock(self.zone, parse_as_of(self.as_of, self.zone) if self.as_of else None)

    @property
    def history_from(self) -> date:
        """The first day of the history that is kept."""
        return self.clock.business_date() - timedelta(days=self.keep_history_days)

    @property
    def on_loopback(self) -> bool:
        """Whether the API listens on this machine alone."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    @property
    def api_address(self) -> str:
        """Address of the API, without a slash at its end."""
        return f"http://{f'[{self.host}]' if ':' in self.host else self.host}:{self.api_port}"

    @property
    def store_url(self) -> str:
        """Address of the database."""
        return self.database_url or f"sqlite:///{(self.data_dir / 'weisu.db').resolve()}"

    @property
    def tracking_uri(self) -> str:
        """Address of the MLflow store."""
        return self.mlflow_tracking_uri or f"sqlite:///{(self.mlflow_dir / 'mlflow.db').resolve()}"

    @property
    def mlflow_elsewhere(self) -> bool:
        """Whether a server of somebody's keeps the runs, so that none of ours is started."""
        return self.tracking_uri.startswith(("http://", "https://"))

    @property
    def mlflow_dir(self) -> Path:
        """Folder of MLflow's own SQLite file and artifacts."""
        return self.data_dir / "mlflow"

    @property
    def reports_dir(self) -> Path:
        """Folder of the reports that are written by themselves."""
        return self.data_dir / "reports"

    @property
    def spool_dir(self) -> Path:
        """Folder of the nights that MLflow has not taken yet."""
        return self.mlflow_dir / "spool"


def load_settings() -> Settings:
    """Reads the settings.

    Raises:
        InputError: a value does not fit, there is no such time zone, or `weisu.toml` cannot be read or names a setting that is none.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        where, page = (f"{TOML}, {name}", "connectors") if name.startswith("pull") else (f"setting WEISU_{name.upper()}", "settings")
        raise InputError(first["msg"], where, f"see docs/{page}.md") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"cannot be read: {error}", TOML, "write lines like timezone = 'Asia/Shanghai'") from None
    settings.clock.now()
    if settings.oidc_issuer and not settings.oidc_audience:
        raise InputError("an issuer's tokens are for many", "WEISU_OIDC_AUDIENCE", "name the audience that is this service, see docs/settings.md")
    return settings
