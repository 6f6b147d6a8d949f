"""Options that several commands share, and how they are read."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from forecasting.errors import InputError

console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)  # names of files may hold brackets


def day(text: str, flag: str) -> date:
    """Reads a date. Raises InputError naming the flag."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise InputError(f"'{text}' is not a date", flag, "write it as 2025-12-31") from None


def existing(path: Path, flag: str) -> Path:
    """A file that is there. Raises InputError naming the flag."""
    if not path.is_file():
        raise InputError(f"there is no file {path}", flag, "give the path of a file that can be read")
    return path


def number(count: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 row`, `2,500 rows`; `many` where the plural has more than an s."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _bar() -> dict[str, Any]:
    """Bars are for people: a log gets lines, and a failure leaves its one line alone."""
    return {"console": console, "disable": not console.is_terminal, "transient": True}


@contextmanager
def progress(text: str, total: float | None = None) -> Iterator[Callable[..., None]]:
    """A progress bar on stderr; yields a function of (done, total or None if unknown)."""
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), **_bar()
    ) as bar:
        task = bar.add_task(text, total=total)

        def show(done: float, whole: float | None = None) -> None:
            bar.update(task, completed=done, total=whole or total)

        yield show


@contextmanager
def steps(text: str) -> Iterator[Callable[[str], None]]:
    """A line on stderr that shows the step at work and the time; yields a function that names the next step."""
    with Progress(SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn(), **_bar()) as bar:
        task = bar.add_task(text, total=None)

        def say(step: str) -> None:
            bar.update(task, description=f"{text}: {step}")
            if not console.is_terminal:
                console.print(f"{text}: {step}")

        yield say
