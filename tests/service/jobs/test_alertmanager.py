"""The push, to a real Alertmanager that notifies a real receiver."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from processes import free_port, until
from sqlalchemy import Engine
from webhook_city import Town, an_alert
from webhook_receiver import Receiver, receiving

from forecasting.errors import InputError
from service.api.alerts.outgoing import Outgoing
from service.jobs import alertmanager, telling
from service.jobs.alertmanager import Pusher
from service.settings import Settings
from service.store import alerts, jobs, silences
from service.store.engine import reading, writing
from service.store.silences import Matchers

CONFIG = """
route: {{receiver: duty, group_by: [alertname, severity, area, category], group_wait: 0s, group_interval: 1s, repeat_interval: 1h}}
receivers: [{{name: duty, webhook_configs: [{{url: "{url}", send_resolved: true}}]}}]
"""


@dataclass(frozen=True)
class Alertmanager:
    """A running Alertmanager and the receiver that it notifies."""

    url: str
    receiver: Receiver

    def alerts(self) -> dict[tuple[str, str], dict[str, Any]]:
        """What it holds for firing, by name and severity."""
        found = httpx.get(f"{self.url}/api/v2/alerts", trust_env=False).json()
        return {(one["labels"]["alertname"], one["labels"]["severity"]): one for one in found}

    def notified(self) -> set[tuple[str, str, str]]:
        """Of what it has told the receiver: name, severity, firing or resolved."""
        told = [one for came in self.receiver.came for one in json.loads(came.body)["alerts"]]
        return {(one["labels"]["alertname"], one["labels"]["severity"], one["status"]) for one in told}


@pytest.fixture(scope="module")
def program() -> str:
    """The real program: Debian's package, which `make test` installs. Without it tests fail: to skip them would be to say that they pass."""
    found = shutil.which("prometheus-alertmanager")
    assert found, "run: make alertmanager"
    return found


@pytest.fixture
def server(program: str, tmp_path: Path) -> Iterator[Alertmanager]:
    with receiving() as receiver:
        (tmp_path / "alertmanager.yml").write_text(CONFIG.format(url=receiver.url))
        port = free_port()
        address = f"127.0.0.1:{port}"
        options = {"config.file": tmp_path / "alertmanager.yml", "storage.path": tmp_path / "held", "web.listen-address": address}
        command = [program, "--cluster.listen-address=", *(f"--{name}={value}" for name, value in options.items())]
        with (tmp_path / "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            until("Alertmanager answers", lambda: answers(process, f"http://{address}"), 30)
            yield Alertmanager(f"http://{address}", receiver)
        finally:
            process.terminate()
            process.wait(10)


def answers(process: "subprocess.Popen[bytes]", url: str) -> bool:
    assert process.poll() is None
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def town(engine: Engine, folder: Path) -> Town:
    return Town.made(engine, folder)


def running(town: Town, url: str) -> Settings:
    """Settings whose clock runs."""
    return Settings(data_dir=town.folder, alertmanager_url=url)


def pusher(town: Town, url: str) -> Pusher:
    settings = running(town, url)
    return Pusher(town.engine, settings, Outgoing(settings, town.engine).alarms)


def raised_now(town: Town, alert_id: str, **changes: Any) -> None:
    now = datetime.now(UTC)
    with writing(town.engine) as conn:
        alerts.insert(conn, replace(an_alert(alert_id), raised_at=now, changed_at=now, **changes), "weisu", now)


def watched(town: Town, late_in: timedelta) -> None:
    now = datetime.now(UTC)
    with writing(town.engine) as conn:
        jobs.succeed(conn, jobs.WATCH, now - timedelta(minutes=1), now, now + late_in)


def test_alerts_and_the_watchdog_fire_there_and_end_when_they_end_here(town: Town, server: Alertmanager) -> None:
    push = pusher(town, f"{server.url}/")
    watched(town, timedelta(minutes=20))
    raised_now(town, "a")
    raised_now(town, "b", area="110105", level="red", kind="EMERGING")
    push.step()
    found = server.alerts()
    assert found.keys() == {("WeisuSpike", "yellow"), ("WeisuEmerging", "red"), ("Watchdog", "none")}
    spike = found["WeisuSpike", "yellow"]
    assert (spike["labels"]["area"], spike["labels"]["category"], spike["annotations"]["alert_id"]) == ("110108", "HEAT", "a")
    assert spike["generatorURL"] == "http://127.0.0.1:8000/v1/alerts/a"
    left = datetime.fromisoformat(spike["endsAt"]) - datetime.now(UTC)
    assert timedelta(minutes=10) < left <= timedelta(minutes=15), "it outlasts many pushes that fail"
    until("the receiver is notified", lambda: ("WeisuSpike", "yellow", "firing") in server.notified(), 20)

    with writing(town.engine) as conn:
        assert alerts.change_status(conn, "a", ("open",), "resolved", "值班长", None, datetime.now(UTC))
    push.step()
    assert server.alerts().keys() == {("WeisuEmerging", "red"), ("Watchdog", "none")}
    until("the receiver hears of the end", lambda: ("WeisuSpike", "yellow", "resolved") in server.notified(), 20)
    assert ("WeisuEmerging", "red", "resolved") not in server.notified()


def test_what_is_pushed_again_goes_on_and_is_notified_once(town: Town, server: Alertmanager) -> None:
    push = pusher(town, server.url)
    raised_now(town, "a")
    push.step()
    before = server.alerts()["WeisuSpike", "yellow"]
    push.step()
    after = server.alerts()["WeisuSpike", "yellow"]
    assert after["endsAt"] > before["endsAt"]
    assert (after["startsAt"], after["fingerprint"]) == (before["startsAt"], before["fingerprint"])


def test_an_alert_that_goes_up_a_level_ends_at_the_level_before(town: Town, server: Alertmanager) -> None:
    push = pusher(town, server.url)
    raised_now(town, "a")
    push.step()
    with writing(town.engine) as conn:
        assert alerts.update(conn, "a", {"level": "red"}, action="escalated", actor="weisu", now=datetime.now(UTC))
    push.step()
    assert {name for name, _ in server.alerts()} == {"WeisuSpike", "WatchdogLate"}
    assert ("WeisuSpike", "red") in server.alerts()
    assert ("WeisuSpike", "yellow") not in server.alerts()


def test_a_silence_here_ends_it_there_and_its_end_brings_it_back(town: Town, server: Alertmanager) -> None:
    push, now = pusher(town, server.url), datetime.now(UTC)
    raised_now(town, "a")
    push.step()
    with writing(town.engine) as conn:
        silence, _ = silences.create(conn, Matchers("110108", "ALL", None, "orange"), "值班长", "检修", None, now + timedelta(hours=1), now)
    push.step()
    assert ("WeisuSpike", "yellow") not in server.alerts()
    with writing(town.engine) as conn:
        silences.end(conn, silence.id, "值班长", datetime.now(UTC))
    push.step()
    assert ("WeisuSpike", "yellow") in server.alerts()


def test_a_detection_that_is_late_takes_the_watchdog_away_and_raises_another(town: Town, server: Alertmanager) -> None:
    push = pusher(town, server.url)
    watched(town, timedelta(minutes=20))
    push.step()
    assert server.alerts().keys() == {("Watchdog", "none")}
    watched(town, timedelta(seconds=-1))
    push.step()
    assert server.alerts().keys() == {("WatchdogLate", "critical")}


def test_a_job_that_is_late_fires_there_and_ends_at_once_when_it_succeeds(town: Town, server: Alertmanager) -> None:
    push, now = pusher(town, server.url), datetime.now(UTC)
    watched(town, timedelta(minutes=20))
    with writing(town.engine) as conn:
        jobs.expect(conn, jobs.NIGHTLY, now - timedelta(hours=3), now - timedelta(hours=1))
        jobs.expect(conn, "housekeeping", now - timedelta(hours=7), now - timedelta(hours=1))
    push.step()
    assert server.alerts().keys() == {("Watchdog", "none"), ("JobLate", "critical"), ("JobLate", "warning")}
    until("the receiver is notified", lambda: ("JobLate", "critical", "firing") in server.notified(), 20)
    with writing(town.engine) as conn:
        jobs.succeed(conn, jobs.NIGHTLY, now, now + timedelta(days=1), now + timedelta(days=1, hours=2))
    push.step()
    assert server.alerts().keys() == {("Watchdog", "none"), ("JobLate", "warning")}
    until("the receiver hears of the end", lambda: ("JobLate", "critical", "resolved") in server.notified(), 20)


def test_a_frozen_clock_pushes_alerts_that_fire_now(town: Town, server: Alertmanager) -> None:
    settings = town.settings.model_copy(update={"alertmanager_url": server.url})
    town.raised("a")
    Pusher(town.engine, settings, Outgoing(settings, town.engine).alarms).step()
    assert ("WeisuSpike", "yellow") in server.alerts()


def test_a_push_that_fails_is_told_by_its_job_and_the_next_one_mends_it(town: Town, server: Alertmanager) -> None:
    settings = running(town, f"http://127.0.0.1:{free_port()}")
    words = Outgoing(settings, town.engine)
    _, teller = telling.tellers(town.engine, settings, words.changes, words.alarms)

    def job() -> jobs.Job:
        with reading(town.engine) as conn:
            found = jobs.get(conn, "alertmanager")
        assert found is not None
        return found

    teller.run()
    assert "refused" in (job().error or "")
    teller.step = Pusher(town.engine, running(town, server.url), words.alarms).step
    teller.run()
    assert (job().error, job().succeeded_at is not None) == (None, True)
    assert job().is_late(datetime.now(UTC) + timedelta(minutes=4))


def test_what_alertmanager_does_not_take_is_said(town: Town, server: Alertmanager) -> None:
    push = pusher(town, f"{server.url}/nowhere")
    with pytest.raises(InputError, match="answered 404"):
        push.step()


def test_without_an_address_nothing_is_pushed(town: Town) -> None:
    settings = running(town, "")
    words = Outgoing(settings, town.engine)
    assert [one.name for one in telling.tellers(town.engine, settings, words.changes, words.alarms)] == ["delivery"]
    assert timedelta(minutes=1) > alertmanager.EVERY
