"""The scheduler, the API and the receiver of the documentation, as three processes."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from job_city import OLD_WAYS_OF_MLFLOW
from processes import Bench, free_port, until
from sqlalchemy import Engine
from webhook_city import Town

from service.alerting import signing
from service.alerting.signing import Seal
from service.secret import kept
from service.store import jobs
from service.store.engine import reading, writing
from service.store.webhooks import Wanted, add

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)

PAGE = Path(__file__).parents[3] / "docs" / "webhooks.md"


def test_the_receiver_of_the_documentation_hears_what_the_scheduler_sends(engine: Engine, folder: Path, bench: Bench) -> None:
    town = Town.made(engine, folder)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) <= 20
    port, secret, wrong = free_port(), signing.new_secret(), signing.new_secret()
    (bench.folder / "receiver.py").write_text(code)
    heard = bench.folder / "heard.txt"
    environment = bench.environment() | {"PORT": str(port), "SECRET": secret, "PYTHONPATH": "", "PYTHONUTF8": "1"}
    with heard.open("wb") as out:
        receiver = subprocess.Popen([sys.executable, "receiver.py"], cwd=bench.folder, env=environment, stdout=out, stderr=subprocess.DEVNULL)
    try:
        _hears(town, bench, heard, f"http://127.0.0.1:{port}/", (secret, wrong))
    finally:
        receiver.kill()
        receiver.wait()


def _hears(town: Town, bench: Bench, heard: Path, receiver: str, known: tuple[str, str]) -> None:
    seal, engine = Seal(kept(town.folder)), town.engine
    with writing(engine) as conn:
        for secret in known:
            add(conn, receiver, "", Wanted(), None, seal.close(secret), "somebody", town.time())
    url = engine.url.set(drivername=engine.url.get_backend_name()).render_as_string(hide_password=False)
    town.raised("a")
    scheduler = bench.start("scheduler", data_dir=town.folder, database_url=url, webhook_allow='["127.0.0.1"]')
    until("it is heard", lambda: b"alert.raised" in heard.read_bytes() or scheduler.poll() is not None, 60)
    assert "61" in heard.read_text("utf-8"), "the alert in a line"
    until("the other one is refused", lambda: "answered 401" in bench.said, 30)
    with reading(engine) as conn:
        job = jobs.get(conn, "delivery")
    assert job is not None
    assert job.error is None
    scheduler.send_signal(signal.SIGTERM)
    assert scheduler.wait(30) == 0
    assert heard.read_text("utf-8").count("alert.raised") == 1
