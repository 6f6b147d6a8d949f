"""A city with alerts on a database of either kind, and the sender over it with a clock of its own."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from service.alerting import signing
from service.alerting.post import Post
from service.alerting.receivers import Receivers
from service.alerting.signing import Seal
from service.api.alerts.outgoing import Outgoing
from service.jobs.delivery import Sender
from service.settings import Settings
from service.store import alerts, areas, categories, deliveries, forecast_sets, runs, webhooks
from service.store.deliveries import Attempt, Delivery
from service.store.engine import reading, writing
from service.store.webhooks import Wanted, Webhook

NOW = datetime(2025, 11, 9, tzinfo=UTC)
DAY = date(2025, 11, 8)
SEAL = Seal(b"the key")


class Time:
    """A clock that is moved by hand; until then it follows the real one."""

    def __init__(self) -> None:
        self.moved: datetime | None = None

    def __call__(self) -> datetime:
        return self.moved or datetime.now(UTC)

    def go(self, **later: float) -> None:
        self.moved = self() + timedelta(**later)

    def stand(self) -> None:
        self.moved = self()


@dataclass(frozen=True)
class Hook:
    """A webhook and the secret that its owner was shown."""

    id: str
    secret: str


@dataclass
class Town:
    """Two districts, one with a street; UTILITY with HEAT below it, and NOISE."""

    engine: Engine
    folder: Path
    time: Time = field(default_factory=Time)
    chance: float = 1.0

    @classmethod
    def made(cls, engine: Engine, folder: Path) -> "Town":
        with writing(engine) as conn:
            areas.join(conn, {"110105A": "110105"}, NOW)
            areas.join(conn, {"110105": "ALL", "110108": "ALL"}, NOW)
            categories.join(conn, {"HEAT": "UTILITY"}, NOW)
            categories.join(conn, {"UTILITY": "ALL", "NOISE": "ALL"}, NOW)
            run = runs.start(conn, DAY, "test", NOW, timedelta(hours=1))
            forecast_sets.publish(conn, run_id=run, mlflow_run_id=None, cutoff=DAY, horizon=1, issued_at=NOW, rows=0, blob=b"")
        return cls(engine, folder)

    @property
    def settings(self) -> Settings:
        return Settings(data_dir=self.folder, as_of=NOW.isoformat(), timezone="Asia/Shanghai")

    def sender(self, seal: Seal = SEAL, private: bool = True) -> Sender:
        words = Outgoing(self.settings, self.engine)
        return Sender(self.engine, self.settings, words.changes, Post(Receivers(private=private)), seal, self.time, lambda *_: self.chance)

    def hook(self, url: str, districts: list[str] | None = None, key: str | None = None, **wanted: Any) -> Hook:
        secret = signing.new_secret()
        with writing(self.engine) as conn:
            made = webhooks.add(conn, url, "", Wanted(**wanted), districts, SEAL.close(secret), "somebody", self.time(), key)
        return Hook(made.id, secret)

    def raised(self, *alert_ids: str, **changes: Any) -> None:
        """Raises alerts, each in a transaction of its own."""
        for alert_id in alert_ids:
            with writing(self.engine) as conn:
                alerts.insert(conn, replace(an_alert(alert_id), **changes), "weisu", NOW)

    def resolved(self, alert_id: str) -> None:
        with writing(self.engine) as conn:
            assert alerts.change_status(conn, alert_id, ("open",), "resolved", "值班长", "修好了", NOW)

    def state(self, hook: Hook) -> Webhook:
        with reading(self.engine) as conn:
            found = webhooks.get(conn, hook.id)
        assert found is not None
        return found

    def outbox(self, hook: Hook) -> list[Delivery]:
        """Its deliveries, oldest first."""
        with reading(self.engine) as conn:
            return deliveries.list_deliveries(conn, hook.id, None, 100_000)[::-1]

    def attempts(self, hook: Hook) -> list[list[Attempt]]:
        """The attempts at each of them."""
        found = [one.id for one in self.outbox(hook)]
        with reading(self.engine) as conn:
            return list(deliveries.attempts(conn, found).values())


def go(sender: Sender) -> None:
    """A turn of the sender, to the end."""
    sender.step()
    assert sender.wait(30)


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def an_alert(alert_id: str) -> alerts.Alert:
    return alerts.Alert(
        id=alert_id,
        kind="SPIKE",
        level="yellow",
        status="open",
        area="110108",
        category="HEAT",
        districts=[{"code": "110108", "observed": 61.0, "expected": 22.5}],
        onset=DAY,
        last_day=DAY,
        usual_days=0,
        peak=None,
        observed=61.0,
        expected=22.5,
        lower=14.0,
        upper=32.0,
        p_value=2e-6,
        reason_zh="海淀区供热采暖昨日61件",
        reason_en="Heating in Haidian: 61 yesterday",
        forecast_set_id=1,
        raised_at=NOW,
        changed_at=NOW,
        resolved_at=None,
    )
