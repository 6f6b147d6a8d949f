"""`weisu up` begins nothing that it cannot finish."""

import socket

import pytest
from job_city import OLD_WAYS_OF_MLFLOW, City
from processes import Bench, free_port

pytestmark = pytest.mark.filterwarnings(OLD_WAYS_OF_MLFLOW)


@pytest.mark.parametrize("command", ["api", "mlflow", "scheduler"])
def test_a_process_whose_supervisor_is_gone_already_ends_at_once(trained: City, bench: Bench, command: str) -> None:
    done = bench.run(command, data_dir=trained.folder, api_port=free_port(), mlflow_port=free_port(), supervisor=2**22)
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


@pytest.mark.parametrize("name", ["api_port", "mlflow_port"])
def test_a_port_in_use_is_said_in_one_line_and_nothing_is_started(trained: City, bench: Bench, name: str) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        other = {"api_port": free_port(), "mlflow_port": free_port()} | {name: port}
        done = bench.run("up", data_dir=trained.folder, **other)
    assert done.returncode == 2
    assert done.stderr == f"weisu: 127.0.0.1: port {port} is in use; stop what uses it or set WEISU_{name.upper()} to another one\n"
