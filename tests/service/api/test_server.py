"""What only a real server and a real process can show."""

import subprocess
import sys
import threading
from pathlib import Path

import httpx
import pytest
from api_city import City
from processes import until

from forecasting.errors import InputError
from service.api.app import create_app
from service.settings import Settings
from service.store.engine import writing


def test_a_real_server_answers(city: City, address: str) -> None:
    city.alert("a")
    key = {"Authorization": f"Bearer {city.key()}"}
    with httpx.Client(base_url=address) as client:
        assert client.get("/livez").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.get("/v1/forecasts").status_code == 401
        assert len(client.get("/v1/forecasts", headers=key).json()["items"]) == 27
        assert len(client.get("/v1/forecasts", params={"format": "csv"}, headers=key).text.splitlines()) == 28
        assert client.post("/v1/alerts/a/ack", json={"note": "x"}, headers=key).json()["status"] == "acknowledged"


def test_a_real_server_turns_a_huge_body_away_and_lives_on(city: City, address: str) -> None:
    city.alert("a")
    key = {"Authorization": f"Bearer {city.key()}"}
    with httpx.Client(base_url=address, headers=key) as client:
        answer = client.post("/v1/alerts/a/ack", content=b"x" * 1_000_000, headers={"Content-Type": "application/json"})
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert client.get("/v1/alerts/a").json()["status"] == "open"


def test_a_fault_of_ours_leaves_no_trace_in_the_answer_of_a_real_server(city: City, address: str) -> None:
    key = {"Authorization": f"Bearer {city.key()}"}
    with writing(city.engine) as conn:
        conn.exec_driver_sql("update categories set safety = 'perhaps'")
    answer = httpx.get(f"{address}/v1/categories", headers=key)
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Traceback" not in answer.text
    assert "perhaps" not in answer.text


def test_many_readers_at_once_get_whole_answers(city: City, address: str) -> None:
    key = {"Authorization": f"Bearer {city.key()}"}
    answers: list[tuple[int, int]] = []

    def read() -> None:
        with httpx.Client(base_url=address, headers=key) as client:
            for path, rows in (("/v1/forecasts", 27), ("/v1/counts", 252), ("/v1/districts", 3)):
                answers.append((len(client.get(path).json()["items"]), rows))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 24
    assert all(got == rows for got, rows in answers)


def test_many_senders_at_once_count_every_ticket_once(city: City, address: str) -> None:
    key = {"Authorization": f"Bearer {city.key()}"}
    answers: list[httpx.Response] = []

    def send(sender: int) -> None:
        with httpx.Client(base_url=address, headers=key, timeout=30) as client:
            for number in range(4):  # the halves of neighbours overlap
                rows = [
                    {"ticket_id": f"{number}-{place}", "created_at": "2025-09-09", "district": "110108", "category": "HEAT"}
                    for place in range(sender * 10, sender * 10 + 20)
                ]
                answers.append(client.post("/v1/tickets", json=rows))

    threads = [threading.Thread(target=send, args=[sender]) for sender in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 24
    assert {answer.status_code for answer in answers} <= {200, 202}  # on a busy machine some are taken and counted a little later
    params = {"area": "110108", "category": "HEAT", "from": "2025-09-09", "to": "2025-09-09"}

    def counted() -> list[int]:
        return [row["count"] for row in httpx.get(f"{address}/v1/counts", params=params, headers=key).json()["items"]]

    until("all are counted", lambda: counted() == [4 * 70])
    at_once = [answer.json()["added"] for answer in answers if answer.status_code == 200]
    assert sum(at_once) == 4 * 70 if len(at_once) == 24 else sum(at_once) <= 4 * 70


PROGRAM = """
import sys
from service.api.app import create_app
create_app()
print(sorted({"mlflow", "lightgbm", "prophet", "cmdstanpy", "sklearn"} & sys.modules.keys()))
"""


def test_the_api_loads_no_model_library(city: City) -> None:
    environment = {"WEISU_DATA_DIR": str(city.settings.data_dir)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


LARGE_PARTS = """
import sys
from service.api.app import create_app
create_app()
print(sorted({"scipy.stats", "scipy.optimize", "scipy.signal", "scipy.sparse.linalg"} & sys.modules.keys()))
"""


def test_the_api_loads_no_large_part_of_scipy(city: City) -> None:
    environment = {"WEISU_DATA_DIR": str(city.settings.data_dir)}
    done = subprocess.run([sys.executable, "-c", LARGE_PARTS], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"


def test_without_a_database_it_does_not_start_and_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="weisu db upgrade"):
        create_app(Settings(data_dir=tmp_path))


def test_on_an_old_database_it_does_not_start_and_says_why(city: City) -> None:
    with writing(city.engine) as conn:
        conn.exec_driver_sql("delete from alembic_version")
    with pytest.raises(InputError, match="weisu db upgrade"):
        create_app(city.settings)


def test_on_a_file_that_is_no_database_it_does_not_start_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "weisu.db").write_text("this is a letter to the mayor\n" * 100)
    with pytest.raises(InputError) as refused:
        create_app(Settings(data_dir=tmp_path))
    assert "\n" not in str(refused.value)
    assert "WEISU_DATABASE_URL" in str(refused.value)
