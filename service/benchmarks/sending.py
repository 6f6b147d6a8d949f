"""How fast tickets come in over HTTP, by loopback into one worker of the API, on SQLite and on PostgreSQL, and how much memory it takes.

    python -m service.benchmarks.sending             about three minutes on two cores
    python -m service.benchmarks.sending --rows 200000

For each database and form of body, tickets of the simulated city are sent, new ones, in bodies of 50,000 that are counted when the answer comes; from
the first byte to the last answer. Then a single body of all of them is checked by a dry run: how much the worker's memory has grown by it.
The server of PostgreSQL is one of its own with its default settings, fsync included.
"""

import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import httpx
import pandas as pd
import typer
from rich.console import Console
from rich.table import Table

from forecasting import city
from service.benchmarks.server import running
from service.secret import of_keys
from service.settings import Settings
from service.store import keys
from service.store.engine import open_engine, upgrade, writing

START, END = date(2025, 1, 1), date(2025, 12, 31)
NOW = datetime(2026, 2, 1, tzinfo=UTC)
ROWS_AT_ONCE = 50_000  # of a body
FORMS = {"NDJSON": "application/x-ndjson", "JSON": "application/json", "CSV": "text/csv", "Parquet": "application/vnd.apache.parquet"}
START_WITHIN = 60.0  # seconds that the API has to begin
LIMIT = 600.0  # seconds of one request


def main(
    rows: Annotated[int, typer.Option(help="Tickets of each form.")] = 400_000, port: Annotated[int, typer.Option(help="Of the API.")] = 8765
) -> None:
    """Prints one table."""
    heads = (f"{form}, {what}" for form in FORMS for what in ("tickets/s", "MB more"))
    table = Table("", *heads, title=f"{rows:,} tickets, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="weisu-bench-")))
        tickets = city.simulate(0, min(1.0, rows / 4_000_000 + 0.01), START, END, streets=True).tickets.head(rows)
        server = stack.enter_context(running({}))
        for kind in ("SQLite", "PostgreSQL"):
            told = []
            for form in FORMS:
                name = f"weisu_{form.lower()}"
                if kind == "PostgreSQL":
                    server.run(f"create database {name}")
                url = server.address(name) if kind == "PostgreSQL" else f"sqlite:///{folder / name}.db"
                pace, memory = measured(url, folder, port, tickets, form)
                told += [f"{pace:,.0f}", f"{memory:.0f}"]
            table.add_row(kind, *told)
    Console(width=130).print(table)


def measured(url: str, folder: Path, port: int, tickets: pd.DataFrame, form: str) -> tuple[float, float]:
    """Tickets a second, and by how many MB the worker grows by one body of all tickets."""
    upgrade(url)
    engine = open_engine(url)
    with writing(engine) as conn:
        key = keys.create(conn, "benchmark", ["tickets:write"], None, NOW, secret=of_keys(Settings(data_dir=folder)))
    engine.dispose()
    bodies = [written(tickets.iloc[start : start + ROWS_AT_ONCE], form) for start in range(0, len(tickets), ROWS_AT_ONCE)]
    headers = {"Authorization": f"Bearer {key}", "Content-Type": FORMS[form]}
    with api(url, folder, port) as pid, httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=LIMIT, trust_env=False) as http:
        began = time.perf_counter()
        for body in bodies:
            answer = http.post("/v1/tickets", content=body)
            if answer.status_code != 200:
                raise SystemExit(f"{form}: {answer.status_code} {answer.text[:300]}")
        seconds = time.perf_counter() - began
        before = memory(pid)
        http.post("/v1/tickets", content=written(tickets, form), params={"dry_run": True}).raise_for_status()
        return len(tickets) / seconds, memory(pid) - before


def written(tickets: pd.DataFrame, form: str) -> bytes:
    """Tickets as a body."""
    if form == "Parquet":
        out = io.BytesIO()
        tickets.to_parquet(out, index=False)
        return out.getvalue()
    if form == "CSV":
        return tickets.to_csv(index=False).encode()
    return str(tickets.to_json(orient="records", lines=form == "NDJSON", date_format="iso", force_ascii=False)).encode()


@contextmanager
def api(url: str, folder: Path, port: int) -> Iterator[int]:
    """The API as a process of its own; yields its id."""
    given = {"DATABASE_URL": url, "DATA_DIR": folder, "API_PORT": port, "AS_OF": NOW.isoformat(), "INTAKE_ROWS_AT_ONCE": ROWS_AT_ONCE}
    environment = os.environ | {f"WEISU_{name}": str(value) for name, value in given.items()}
    process = subprocess.Popen([sys.executable, "-m", "service.cli", "api"], cwd=folder, env=environment)
    try:
        end = time.monotonic() + START_WITHIN
        while not _answers(port):
            if time.monotonic() > end or process.poll() is not None:
                raise SystemExit("the API does not start")
            time.sleep(0.1)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def memory(pid: int) -> float:
    """The most memory that a process ever had, in MB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    typer.run(main)
