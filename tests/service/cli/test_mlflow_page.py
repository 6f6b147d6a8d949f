"""The MLflow page, as `weisu mlflow` serves it: everything but telemetry, jobs, and the assistant, which could run programs on this machine."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from mlflow import MlflowClient
from processes import Bench, free_port, until

from experiments.mlflow_page import ASSISTANT

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")


OTHERWISE = {"MLFLOW_DISABLE_TELEMETRY": "false", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "true"}  # what the caller's environment says


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """On which the server runs."""
    return Bench(tmp_path_factory.mktemp("page") / "bench")


@pytest.fixture(scope="module")
def page(machine: Bench) -> Iterator[httpx.Client]:
    """The page of a real server."""
    bench, port = machine, free_port()
    bench.start("mlflow", environment=OTHERWISE, mlflow_port=port)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:

        def answers() -> bool:
            try:
                return client.get("/health").status_code == 200
            except httpx.TransportError:
                return False

        try:
            until("MLflow answers", answers)
            yield client
        finally:
            bench.kill_all()


def assistant_routes() -> list[tuple[str, str]]:
    """Method and path of everything that the assistant of the installed MLflow answers."""
    from mlflow.server.assistant.api import assistant_router

    return [(method, route.path) for route in assistant_router.routes for method in route.methods]  # type: ignore[attr-defined]


def test_no_path_of_the_assistant_answers(page: httpx.Client) -> None:
    routes = assistant_routes()
    assert len(routes) > 5
    answers = {(method, path): page.request(method, path.replace("{", "").replace("}", ""), json={"message": "hello"}) for method, path in routes}
    assert {asked: answer.status_code for asked, answer in answers.items()} == dict.fromkeys(answers, 403)
    assert all("switched off" in answer.text for answer in answers.values())


@pytest.mark.parametrize(
    "path",
    [
        "/ajax-api/3.0/mlflow/assistant",
        "/ajax-api/3.0/mlflow/assistant/",
        "/ajax-api/3.0/mlflow/%61ssistant/config",
        "/ajax-api/3.0/mlflow%2Fassistant/config",
        "/ajax-api/3.0/mlflow/assistant%2Fconfig",
        "/ajax-api/3.0/mlflow/assistant/config?x=/ajax-api",
        "/ajax-api/9.1/mlflow/assistant/config",
        "/api/3.0/mlflow/assistant/config",
        "//ajax-api/3.0/mlflow/assistant/config",
        "/ajax-api/3.0/mlflow/x/../assistant/config",
        "/ajax-api/3.0//mlflow/assistant/config",
    ],
)
def test_no_other_way_of_writing_its_paths_leads_there(page: httpx.Client, path: str) -> None:
    raw = page.build_request("GET", "/")
    raw.url = raw.url.copy_with(raw_path=path.encode())  # as it stands: a client tidies it up
    assert page.send(raw).status_code in (403, 404)


def test_all_else_goes_on_working(page: httpx.Client, tmp_path: Path) -> None:
    shown = page.get("/")
    assert shown.status_code == 200
    assert "<title>MLflow</title>" in shown.text
    script = shown.text.split('src="')[1].split('"')[0].removeprefix(".")
    assert page.get(script if script.startswith("/") else f"/{script}").status_code == 200
    assert page.post("/ajax-api/2.0/mlflow/experiments/search", json={"max_results": 5}).json()["experiments"]
    client = MlflowClient(tracking_uri=str(page.base_url))
    run = client.create_run(client.create_experiment("assistant"), run_name="a run").info
    client.log_metric(run.run_id, "WAPE", 0.25)
    (tmp_path / "assistant").mkdir()
    (tmp_path / "assistant" / "config").write_text("a file of ours")
    client.log_artifacts(run.run_id, str(tmp_path), "mlflow")  # a path that looks much like it
    assert client.get_run(run.run_id).data.metrics == {"WAPE": 0.25}
    assert Path(client.download_artifacts(run.run_id, "mlflow/assistant/config", str(tmp_path))).read_text() == "a file of ours"
    client.create_registered_model("model")
    version = client.create_model_version("model", str(run.artifact_uri), run.run_id)
    client.set_registered_model_alias("model", "champion", version.version)
    assert client.get_model_version_by_alias("model", "champion").run_id == run.run_id


def test_none_of_its_processes_sends_telemetry_or_works_on_jobs_whatever_the_environment_said(page: httpx.Client, machine: Bench) -> None:
    assert page.get("/health").status_code == 200
    living = machine.living()
    assert len(living) > 1, "the one that was started, and the one that serves"
    for pid, command in living.items():
        environment = dict(entry.split("=", 1) for entry in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in entry)
        switches = {name: environment[name] for name in OTHERWISE}
        assert switches == {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}, command
        assert "mlflow.server.jobs" not in command
        assert "huey" not in command


def test_a_page_of_another_name_is_refused_as_before(page: httpx.Client) -> None:
    assert page.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert page.get("/ajax-api/3.0/mlflow/assistant/config", headers={"Host": "evil.example"}).status_code == 403


def test_paths_of_the_assistant_are_known_whatever_stands_before_them() -> None:
    assert all(ASSISTANT.search(f"/prefix{path}") for _, path in assistant_routes())
    assert not ASSISTANT.search("/ajax-api/2.0/mlflow-artifacts/artifacts/1/mlflow/assistant/config")
    assert not ASSISTANT.search("/static-files/lib/assistant.js")
