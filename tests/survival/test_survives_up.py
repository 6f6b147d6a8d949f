"""`weisu up`: everything on one machine, started in order, mended when something is killed, gone when it is told to stop or killed itself."""

import os
import signal
from contextlib import suppress

import httpx
import pytest
from job_city import DAYS, OLD_WAYS_OF_MLFLOW, City, day
from processes import Bench, free_port, until

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)


def answers(port: int, path: str, host: str = "127.0.0.1") -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://{host}:{port}{path}", timeout=5, trust_env=False).status_code == 200
    return False


def test_everything_answers_comes_back_when_it_is_killed_and_is_gone_after_sigterm(trained: City, bench: Bench) -> None:
    api, mlflow = free_port(), free_port()
    settings = {"data_dir": trained.folder, "as_of": day(DAYS), "timezone": "UTC", "country": "none", "api_port": api, "mlflow_port": mlflow}
    process = bench.start("up", **settings, http_proxy="http://127.0.0.1:9")
    until("it says that it is ready", lambda: process.poll() is not None or "Ctrl-C stops" in bench.said)
    for port, path in ((api, "/livez"), (api, "/readyz"), (mlflow, "/health")):
        assert answers(port, path), path
    until("the scheduler runs", lambda: any(c.endswith("service.cli scheduler") for c in bench.living().values()))

    first = bench.the("service.cli api")
    os.kill(first, signal.SIGKILL)
    main = min(pid for pid, command in bench.living().items() if "mlflow server" in command)
    os.kill(main, signal.SIGKILL)
    until("the API is gone", lambda: first not in bench.living())
    until("the API comes back", lambda: answers(api, "/readyz"))
    assert bench.the("service.cli api") != first
    until("MLflow comes back although its workers held the port", lambda: main not in bench.living() and answers(mlflow, "/health"))

    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert bench.living() == {}
    assert "Traceback" not in bench.said


def test_when_it_is_killed_all_that_it_started_ends_too(trained: City, bench: Bench) -> None:
    api, mlflow = free_port(), free_port()
    settings = {"data_dir": trained.folder, "as_of": day(DAYS), "timezone": "UTC", "country": "none", "api_port": api, "mlflow_port": mlflow}
    process = bench.start("up", **settings, host="0.0.0.0")
    until("it says that it is ready", lambda: process.poll() is not None or "Ctrl-C stops" in bench.said)
    until("the scheduler runs", lambda: "scheduler.start" in bench.said)
    assert answers(api, "/livez", "127.0.0.2")
    assert answers(mlflow, "/health")
    assert not answers(mlflow, "/health", "127.0.0.2"), "MLflow has no login: it does not listen where the API does"
    assert len(bench.living()) >= 5, "the supervisor, API, scheduler, MLflow and its server"
    process.kill()
    process.wait()
    until("no process is left", lambda: not bench.living(), 20)
    assert "Traceback" not in bench.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_while_it_starts_leaves_nothing_behind(trained: City, bench: Bench, number: signal.Signals) -> None:
    process = bench.start("up", data_dir=trained.folder, api_port=free_port(), mlflow_port=free_port())
    until("children begin", lambda: len(bench.living()) >= 3)
    process.send_signal(number)
    assert process.wait(60) == 130
    assert bench.living() == {}
    assert bench.said.endswith("weisu: stopped\n")
