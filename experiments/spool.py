"""The spool: what is to go to MLflow lies here first, so that a training never waits for it.

    DATA_DIR/mlflow/spool/20251116T021405.120394Z-9f3c21aa/    a night, complete: the name is the order
                          night.json                           its runs, the parent first
                          files/                               what the parent keeps
                                 tries                         how often it was tried in vain, where it was
                          .20251116T021405.120394Z-9f3c21aa/   one that is being written, or whose writer was killed
                          refused/                             what MLflow does not take, each with its `reason`

A night is sent in steps each of which can be repeated: a run is created together with the tag `weisu.spool_id`, by which a later attempt
finds it; the parent is finished last. So whatever dies in between, the night is there once and complete in the end.
"""

import fcntl
import json
import logging
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from experiments.tracking import Run

ID, PART = "weisu.spool_id", "weisu.spool_part"  # tags: which night a run is of, and which of its runs
NIGHT, FILES, TRIED, REFUSED, REASON = "night.json", "files", "tries", "refused", "reason"
MOST_WAITING = 60  # nights, about a gigabyte: a server that was away for two months has forgotten more
DEAD_AFTER = timedelta(days=1)  # what is half written for so long has no writer any more: one that is at work for two hours is killed
TRIES = 12  # of a night in vain, an hour of the scheduler's, after which later ones are tried: if they are taken, it is not MLflow's fault
NEVER = "INVALID_PARAMETER_VALUE"  # what MLflow says of that which it will not take tomorrow either

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sent:
    """A night that is complete in MLflow.

    Attributes:
        folder: in the spool; to be forgotten when its run id is kept.
        run_id: of the parent.
        tags: of the parent.
    """

    folder: Path
    run_id: str
    tags: dict[str, str]


def write(spool: Path, runs: "Sequence[Run]", save: Callable[[Path], None]) -> Path:
    """Puts a night into the spool, whole or not at all.

    Args:
        spool: the folder.
        runs: the parent and its children.
        save: writes the parent's files into a folder.

    Raises:
        OSError: it cannot be written, for the disk is full, say.
    """
    now = datetime.now(UTC)
    name = f"{now:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(4)}"
    partial = spool / f".{name}"
    for old in spool.glob(".2*"):
        if old.name < f".{now - DEAD_AFTER:%Y%m%dT%H%M%S}":
            shutil.rmtree(old, ignore_errors=True)
    try:
        (partial / FILES).mkdir(parents=True)
        save(partial / FILES)
        night = {"moment": int(now.timestamp() * 1000), "runs": [asdict(run) for run in runs]}
        (partial / NIGHT).write_text(json.dumps(night, ensure_ascii=False), "utf-8")
        partial.rename(spool / name)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    for old in waiting(spool)[:-MOST_WAITING]:
        log.error("spool.full", extra={"dropped": old.name})
        forget(old)
    return spool / name


def waiting(spool: Path) -> list[Path]:
    """The nights that wait, the oldest first."""
    return sorted(path for path in spool.glob("2*") if path.is_dir()) if spool.is_dir() else []


def forget(folder: Path) -> None:
    """Removes a night from the spool; of one that is half removed nothing is sent."""
    gone = folder.with_name(f".{folder.name}")
    with suppress(FileNotFoundError):  # another one was faster
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def set_aside(spool: Path) -> dict[str, str]:
    """The nights that MLflow does not take, the oldest first, each with the reason; they stay until a person removes them."""
    folders = sorted(path for path in (spool / REFUSED).glob("2*") if path.is_dir())
    return {folder.name: (folder / REASON).read_text("utf-8") if (folder / REASON).exists() else "" for folder in folders}


def replay(spool: Path, uri: str, artifacts: Path, until: float = inf) -> Iterator[Sent]:
    """Sends what waits, the oldest first, and yields each night that is complete; it ends at the first that cannot be sent.

    One that was tried in vain `TRIES` times holds up no other: when a later one is taken, it is set aside.

    Whoever gets it keeps the run id and then calls `forget`; until then the night is found again, not sent again. Only one process sends
    at a time; another one finds nothing to do.

    Args:
        uri: the MLflow store: a server's address or a database.
        artifacts: where files lie if the store is a database.
        until: moment of `time.monotonic` after which no other step begins.
    """
    if not waiting(spool):
        return
    from experiments import tracking  # late: MLflow takes seconds and 150 MB, which a process with nothing to send need not have

    passed_over: dict[Path, str] = {}
    with _alone(spool) as alone:
        for folder in waiting(spool) if alone else ():
            if not folder.is_dir():
                continue  # forgotten meanwhile
            try:
                client = tracking.connect(uri)
                experiment = tracking.experiment_id(client, uri, artifacts, tracking.EXPERIMENT)
            except tracking.FAILURES as error:
                log.warning("mlflow.unreachable", extra={"waiting": len(waiting(spool)), "reason": tracking.reason(error)})
                return
            try:
                night = _read(folder)
                run_id = _send(client, experiment, folder, night, until)
            except (*tracking.FAILURES, _NoNight) as error:
                if isinstance(error, _NoNight) or getattr(error, "error_code", "") == NEVER:
                    _put_aside(folder, tracking.reason(error))
                    continue
                log.warning("mlflow.unreachable", extra={"waiting": len(waiting(spool)), "reason": tracking.reason(error)})
                if _tried(folder) < TRIES:
                    return
                passed_over[folder] = tracking.reason(error)
                continue
            if run_id is None:
                log.warning("mlflow.slow", extra={"waiting": len(waiting(spool))})
                return
            for other, reason in passed_over.items():
                _put_aside(other, reason)
            passed_over.clear()
            yield Sent(folder, run_id, dict(night.runs[0].tags))


def _tried(folder: Path) -> int:
    """Counts another try in vain; how many there were."""
    try:
        times = int((folder / TRIED).read_text("utf-8")) + 1
    except (OSError, ValueError):
        times = 1
    with suppress(OSError):  # a full disk: it goes on waiting
        (folder / TRIED).write_text(f"{times}", "utf-8")
    return times


def _put_aside(folder: Path, reason: str) -> None:
    log.error("spool.refused", extra={"night": folder.name, "reason": reason})
    aside = folder.parent / REFUSED
    aside.mkdir(exist_ok=True)
    with suppress(FileNotFoundError):
        folder.rename(aside / folder.name)
        with suppress(OSError):
            (aside / folder.name / REASON).write_text(reason, "utf-8")


def replay_within(seconds: float, spool: Path, uri: str, artifacts: Path) -> list[Sent]:
    """As `replay`, but comes back in time whatever MLflow does. What is sent later than that, is found by the next replay.

    Making MLflow's own SQLite file does not count: it happens once, and nobody is waited for.
    """
    from experiments import mlflow_database, tracking

    sent: list[Sent] = []
    with suppress(*tracking.FAILURES):  # `replay` meets them again, and says so
        mlflow_database.make(uri)
    until = time.monotonic() + seconds

    def work() -> None:
        for one in replay(spool, uri, artifacts, until):
            sent.append(one)

    thread = threading.Thread(target=work, name="mlflow", daemon=True)
    thread.start()
    thread.join(seconds)
    return list(sent)


class _NoNight(Exception):
    """A folder of the spool that holds no night."""


@dataclass(frozen=True)
class _Night:
    moment: int
    runs: "list[Run]"


def _read(folder: Path) -> _Night:
    from experiments.tracking import Dataset, Run

    try:
        read: dict[str, Any] = json.loads((folder / NIGHT).read_text("utf-8"))
        runs = [Run(**{**run, "dataset": Dataset(**run["dataset"]) if run["dataset"] else None}) for run in read["runs"]]
        if not runs:
            raise _NoNight("it has no run")
        return _Night(int(read["moment"]), runs)
    except (FileNotFoundError, ValueError, KeyError, TypeError) as error:
        raise _NoNight(f"it is no night: {error!r}") from None


def _send(client: "MlflowClient", experiment: str, folder: Path, night: _Night, until: float) -> str | None:
    """Sends what MLflow does not have yet; the parent's id, or None if time ran out."""
    from experiments import tracking

    there = _there(client, experiment, folder.name)
    parent = there.get("0")
    if parent is not None and parent.info.status == "FINISHED":
        return str(parent.info.run_id)
    parent_id = ""
    for part, run in enumerate(night.runs):
        if time.monotonic() > until:
            return None
        made = there.get(str(part))
        marked = replace(run, tags={**run.tags, ID: folder.name, PART: str(part)})
        run_id = str(made.info.run_id) if made else tracking.begin(client, experiment, marked, night.moment, parent_id)
        if made is None or made.info.status != "FINISHED":
            tracking.fill(client, run_id, run, night.moment)
            if part:
                tracking.end(client, run_id, night.moment)
        parent_id = parent_id or run_id
    for path in sorted(path for path in (folder / FILES).rglob("*") if path.is_file()):
        if time.monotonic() > until:
            return None
        inside = path.relative_to(folder / FILES).parent
        client.log_artifact(parent_id, str(path), None if inside == Path() else str(inside))
    tracking.register(client, parent_id)
    tracking.end(client, parent_id, night.moment)
    _there(client, experiment, folder.name)  # a slow server may have been asked twice just now
    return parent_id


def _there(client: "MlflowClient", experiment: str, name: str) -> dict[str, Any]:
    """The runs of a night that MLflow has, by part; of a run that was asked for twice, because the answer got lost, one stays."""
    there: dict[str, Any] = {}
    found = client.search_runs([experiment], f"tags.`{ID}` = '{name}'", order_by=["attributes.start_time ASC"])
    for run in sorted(found, key=lambda run: run.info.status != "FINISHED"):
        if there.setdefault(run.data.tags[PART], run) is not run:
            client.delete_run(run.info.run_id)
    return there


@contextmanager
def _alone(spool: Path) -> Iterator[bool]:
    """Whether no other process sends; the kernel gives the lock back when this one ends, however it ends."""
    descriptor = os.open(spool / ".lock", os.O_CREAT | os.O_RDWR)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
    finally:
        os.close(descriptor)
