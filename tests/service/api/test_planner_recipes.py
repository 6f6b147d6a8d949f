"""The recipes of docs/planners.md, against a real server: what runs on this machine is run, the rest is read and its requests are made."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pandas as pd
import pytest
from api_city import NOW, YESTERDAY, City, nodes
from test_forecast_horizons import shares, weeks

TEXT = (Path(__file__).parents[3] / "docs" / "planners.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def open_to(city: City, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[httpx.Client]:
    """A server over a set with weeks and hours; `API` and `KEY` say where and who, as in the recipes; files go to a folder of their own."""
    city.publish(YESTERDAY, NOW - timedelta(hours=1), mlflow_run_id="full", outlook=weeks(YESTERDAY), hours=shares(YESTERDAY))
    key = city.key("forecasts:read", "tickets:write")
    monkeypatch.setenv("API", address)
    monkeypatch.setenv("KEY", key)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    with httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}) as client:
        sent = [{"ticket_id": f"{n}", "created_at": "2025-11-05T07:00", "district": "110105", "category": "HEAT"} for n in range(90)]
        assert client.post("/v1/tickets", json=sent).json()["added"] == 90
        yield client


def items(client: httpx.Client, path: str, **params: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get(path, params=params).json()["items"]
    return found


def test_every_block_is_in_a_language_that_is_tested_here() -> None:
    assert re.findall(r"^```(\w+)$", TEXT, re.MULTILINE) == ["sh", "sh", "python", "r", "powerquery"]


def test_curl(open_to: httpx.Client) -> None:
    pages, whole = blocks("sh")
    printed = subprocess.run(["bash", "-euc", pages], capture_output=True, text=True, check=True, timeout=30).stdout
    assert json.loads(printed)["items"] == items(open_to, "/v1/forecasts", area="110105", category="HEAT")
    assert Path("months.csv").read_bytes().startswith(b"\xef\xbb\xbfarea,category,date,days,")
    assert len(Path("hours.ndjson").read_text().splitlines()) == 7 * 24
    for _ in range(2):  # the second time nothing is sent, and the file stays as it is
        subprocess.run(["bash", "-euc", whole], check=True, timeout=30)
        assert len(pd.read_parquet("forecasts.parquet")) == 3 * len(nodes())
    tag = Path("forecasts.etag").read_text().strip()
    assert open_to.get("/v1/forecasts?nodes=all&format=parquet", headers={"If-None-Match": tag}).status_code == 304


def test_pandas(open_to: httpx.Client) -> None:
    told: dict[str, Any] = {}
    for block in blocks("python"):
        exec(compile(block, "docs/planners.md", "exec"), told)
    forecasts = items(open_to, "/v1/forecasts", nodes="all")
    assert told["forecasts"]["mean"].tolist() == [row["mean"] for row in forecasts]
    assert told["forecasts"]["area"].tolist() == [row["area"] for row in forecasts]
    assert told["weeks"]["q95"].tolist() == [row["q95"] for row in items(open_to, "/v1/forecasts", granularity="week", area="ALL")]
    assert told["compared"]["count"].tolist() == [row["count"] for row in items(open_to, "/v1/counts/compare", area="ALL", category="ALL")]
    assert len(told["tickets"]) == 90
    assert set(told["tickets"]["area"]) == {"110105"}


def test_r(open_to: httpx.Client) -> None:
    (block,) = blocks("r")
    paths = re.findall(r'ask\("(/v1/[^"]+)"\)', block)
    assert len(paths) == 2
    answers = [open_to.get(path) for path in paths]
    assert [answer.headers["content-type"] for answer in answers] == ["text/csv; charset=utf-8"] * 2
    assert all(answer.text.startswith("area,") for answer in answers)
    if shutil.which("Rscript"):  # on machines that have it
        script = block + 'cat(nrow(forecasts), nrow(compared), forecasts$area[1], mean(forecasts$mean), "\\n")'
        printed = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True, timeout=60).stdout.split()
        assert [int(number) for number in printed[:2]] == [len(answer.text.splitlines()) - 1 for answer in answers]
        assert printed[2] == "110105"


def test_power_query(open_to: httpx.Client) -> None:
    (block,) = blocks("powerquery")
    for left, right in ("()", "[]", "{}"):
        assert block.count(left) == block.count(right)
    assert block.count('"') % 2 == 0
    path = re.search(r'RelativePath = "([^"]+)"', block)
    query = re.search(r"Query = \[(.*?)\]", block)
    assert path
    assert query
    answer = open_to.get(f"/{path[1]}", params=dict(re.findall(r'(\w+) = "([^"]*)"', query[1])))
    header, *rows = answer.text.splitlines()
    assert len(rows) == 13
    names = header.split(",")
    for name, kind in re.findall(r'\{"(\w+)", type (\w+)\}', block):
        values = [row.split(",")[names.index(name)] for row in rows]
        assert all(re.fullmatch(r"\d{4}-\d\d-\d\d" if kind == "date" else r"[\d.]+", value) for value in values)
