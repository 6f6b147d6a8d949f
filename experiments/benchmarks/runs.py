"""Measured runs: a process of its own that makes one file, its seconds and peak memory, kept until its inputs change."""

import ast
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd

NOT_STARTED = 127  # the code by which a shell says so
OURS = ("forecasting.", "experiments.")  # what is imported from elsewhere has its version in the lock
LOOK = 0.25  # seconds between two looks at the memory of a process and its workers
SELDOM = 40.0  # times as long as a look takes until the next: gigabytes take a fifth of a second, in which the process may get no memory
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    """What is to be run.

    Attributes:
        out: the file that the command makes; the record stands beside it.
        command: program and arguments.
        fingerprint: of all inputs; while it stays the file is used again.
        parts: runs whose tables, one below the other, are the file: what takes hours goes on where it was stopped. Empty: the command makes it whole.
    """

    out: Path
    command: tuple[str, ...]
    fingerprint: str
    parts: tuple["Run", ...] = ()


@dataclass(frozen=True)
class Record:
    """What a run took.

    Attributes:
        seconds: from start to end of the process.
        peak_mb: greatest memory of the process and its workers together, MB; shared pages count once.
        measured: the day.
        load: how many other processes wanted a core when it began (load average of a minute): what seconds are worth.
        error: why there is no file; empty if there is one.
    """

    fingerprint: str
    seconds: float
    peak_mb: float
    measured: str
    load: float
    error: str = ""


def program(module: str, out: Path, asked: Mapping[str, object]) -> tuple[str, ...]:
    """The command line of a module of ours that makes a file from what is asked."""
    return (sys.executable, "-m", module, str(out), json.dumps(asked))


def record(out: Path) -> Record | None:
    """The record beside a file, if there is one."""
    path = out.with_suffix(".json")
    return Record(**json.loads(path.read_text())) if path.exists() else None


def latest(wanted: str, *found: Record | None) -> Record | None:
    """Of several records of a run the one that counts: of what is wanted, then one that did not fail, then the later, then the first of them."""

    def rank(one: Record) -> tuple[bool, bool, str]:
        return one.fingerprint == wanted, not one.error, one.measured

    return max([record for record in found if record], key=rank, default=None)


def ensure(run: Run, say: Callable[[str], None]) -> Record:
    """Runs what has not been run with these inputs. A run that fails is recorded with its last line and tried again the next time."""
    old = record(run.out)
    if old and old.fingerprint == run.fingerprint and not old.error and run.out.exists():
        return old
    say(f"{run.out.parent.name}: {run.out.stem}")
    run.out.parent.mkdir(parents=True, exist_ok=True)
    if run.parts:
        return _ensure_parts(run, say)
    run.out.unlink(missing_ok=True)
    load = os.getloadavg()[0]
    log = run.out.with_suffix(".log")
    with log.open("w") as lines:
        try:
            code, seconds, peak = measured(run.command, lines.fileno())
        except OSError as reason:  # no such program, or none that this machine runs
            code, seconds, peak = NOT_STARTED, 0.0, 0.0
            print(f"{run.command[0]} does not start: {reason.strerror}", file=lines, flush=True)
    last = (log.read_text().strip().splitlines() or ["no word"])[-1]
    error = "" if code == 0 and run.out.exists() else f"exit {code}: {last[:300]}"
    new = Record(run.fingerprint, round(seconds, 1), round(peak), f"{date.today():%Y-%m-%d}", round(load, 1), error)  # noqa: DTZ011 - where it was run
    return _recorded(run, new)


def _ensure_parts(run: Run, say: Callable[[str], None]) -> Record:
    """Runs the parts that are not there. Seconds are their sum, memory and load those of the worst; the first that fails ends it."""
    run.out.unlink(missing_ok=True)
    made: list[Record] = []
    for part in run.parts:
        made.append(ensure(part, say))
        if made[-1].error:
            break
    seconds, peak, load = sum(one.seconds for one in made), max(one.peak_mb for one in made), max(one.load for one in made)
    if not made[-1].error:
        pd.concat([pd.read_parquet(part.out) for part in run.parts], ignore_index=True).to_parquet(run.out, index=False)
    return _recorded(run, Record(run.fingerprint, round(seconds, 1), peak, max(one.measured for one in made), load, made[-1].error))


def _recorded(run: Run, record: Record) -> Record:
    run.out.with_suffix(".json").write_text(json.dumps(asdict(record), indent=1))
    return record


def measured(command: tuple[str, ...], log: int) -> tuple[int, float, float]:
    """Runs a command to its end: exit code, seconds, peak MB of it and all that it started. If we are stopped, so are they."""
    environment = os.environ | {"OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": str(ROOT)}
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment, start_new_session=True)
    peak = [0.0]
    done = threading.Event()

    def look() -> None:
        pause = LOOK
        while not done.wait(pause):
            began = time.perf_counter()
            peak[0] = max(peak[0], _memory(process.pid))
            pause = max(LOOK, SELDOM * (time.perf_counter() - began))

    watch = threading.Thread(target=look, daemon=True)
    watch.start()
    try:
        code = process.wait()
        seconds = time.perf_counter() - started
    finally:
        done.set()
        watch.join()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
    return code, seconds, peak[0]


def _memory(session: int) -> float:
    """MB of all processes of a session, shared pages once (proportional set size)."""
    total = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if int((folder / "stat").read_text().rsplit(")", 1)[1].split()[3]) != session:
                continue
            total += int(next(line for line in (folder / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:")).split()[1])
        except (OSError, StopIteration):
            continue  # it has just ended
    return total / 1024


def frame(out: Path) -> pd.DataFrame | None:
    """What a run made, if it is there."""
    return pd.read_parquet(out) if out.exists() else None


def fingerprint(*parts: object) -> str:
    """SHA-256 of anything that prints the same when it is the same."""
    return hashlib.sha256("\n".join(str(part) for part in parts).encode()).hexdigest()


def content(*frames: pd.DataFrame) -> str:
    """SHA-256 of what tables hold, row by row: the bytes of a Parquet file also depend on the libraries that wrote it."""
    digest = hashlib.sha256()
    for frame in frames:
        for name, column in frame.items():
            digest.update(f"{name} {len(column)}\n".encode())
            if pd.api.types.is_datetime64_any_dtype(column.dtype):
                digest.update(column.to_numpy("datetime64[s]").astype("<i8").tobytes())
            elif pd.api.types.is_numeric_dtype(column.dtype):
                digest.update(column.to_numpy(np.dtype("<f8")).tobytes())
            else:
                place, texts = pd.factorize(column.astype(str))
                digest.update("\n".join(texts).encode() + place.astype("<i8").tobytes())
    return digest.hexdigest()


def code(paths: Iterable[Path]) -> str:
    """SHA-256 of what Python files do: comments, docstrings and layout aside, whichever Python reads them."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(repr(_bare(_Deeds().visit(ast.parse(path.read_text("utf-8"))))).encode())
    return digest.hexdigest()


def _bare(node: object) -> object:
    """A tree without its empty fields, in which the versions of Python differ."""
    if isinstance(node, list):
        return [_bare(one) for one in node]
    if not isinstance(node, ast.AST):
        return node
    return type(node).__name__, [(name, _bare(value)) for name, value in ast.iter_fields(node) if value is not None and value != []]


def behind(entry: Path, without: Collection[str] = ()) -> set[Path]:
    """A Python file of ours and what it imports of ours, and so on.

    Args:
        without: modules, and packages with all in them, that are not followed.
    """
    found: set[Path] = set()
    ahead = [entry]
    while ahead:
        path = ahead.pop()
        if path in found:
            continue
        found.add(path)
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [name.name for name in node.names] if isinstance(node, ast.Import | ast.ImportFrom) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{name}" for name in names]
            parts = [name.split(".") for name in names if name.startswith(OURS)]
            modules = {".".join(part[:n]) for part in parts for n in range(1, len(part) + 1)}
            followed = [m for m in modules if not any(m == other or m.startswith(f"{other}.") for other in without)]
            files = [ROOT / module.replace(".", "/") for module in followed]
            ahead += [file for path in files for file in (path.with_suffix(".py"), path / "__init__.py") if file.exists()]
    return found


class _Deeds(ast.NodeTransformer):
    """Leaves out statements that are a text alone: they do nothing."""

    def visit_Expr(self, node: ast.Expr) -> ast.Expr | None:
        return None if isinstance(node.value, ast.Constant) and isinstance(node.value.value, str) else node
