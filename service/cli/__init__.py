"""The command line. Exit code 0: done; 2: bad input, one clear line on stderr; 1: our fault, or the database's.

Commands import what they need when they run: the API must not load what trains, and `weisu status` must not wait for it.
"""

import os
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import typer
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from typer.exceptions import TyperException

from forecasting.errors import InputError
from service.cli import data, models, processes, pulls, reports
from service.cli import keys as key_commands
from service.cli.audit import audit
from service.cli.backtest import backtest
from service.logs import set_up
from service.settings import load_settings
from service.store.engine import is_outage

STOPPED = 130  # as shells report a program that Ctrl-C has ended

app = typer.Typer(name="weisu", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
app.command()(processes.demo)
app.command()(processes.up)
app.command()(processes.api)
app.command()(processes.scheduler)
app.command()(processes.mlflow)
app.command()(data.ingest)
app.command()(pulls.pull)
app.command()(data.retry)
app.command()(data.simulate)
app.command()(data.status)
app.command()(data.backup)
app.command()(data.restore)
app.command()(models.train)
app.command()(models.watch)
app.command()(models.score)
app.command()(models.rollback)
app.command()(models.forecast)
app.command()(models.alerts)
app.command()(audit)
app.command()(backtest)
app.command()(models.replay)

database = typer.Typer(help="The database's tables.", no_args_is_help=True)
database.command("upgrade")(data.upgrade)
app.add_typer(database, name="db")

keys = typer.Typer(help="API keys.", no_args_is_help=True)
keys.command("create")(key_commands.create)
keys.command("list")(key_commands.list_all)
keys.command("rotate")(key_commands.rotate)
keys.command("revoke")(key_commands.revoke)
keys.command("page")(key_commands.page)
app.add_typer(keys, name="keys")

report = typer.Typer(help="Reports.", no_args_is_help=True)
report.command("models")(reports.models)
app.add_typer(report, name="report")


@app.callback()
def weisu() -> None:
    """Weisu 未诉: forecasts and early warnings for a city's hotline."""


def main(arguments: list[str] | None = None) -> int:
    """Runs a command and returns its exit code; the installed `weisu` calls it."""
    try:
        settings = load_settings()
        set_up(settings.log_level, settings.log_format)
        code = app(arguments, prog_name="weisu", standalone_mode=False)
        sys.stdout.flush()
        if code == STOPPED:  # what Typer makes of Ctrl-C
            return _say("stopped", STOPPED)
        return code if isinstance(code, int) else 0
    except InputError as error:
        return _say(str(error), 2)
    except TyperException as error:
        format_message = getattr(error, "format_message", None)
        text = format_message() if format_message else str(error)
        if len(text.splitlines()) > 1:  # no command given: the text is the help
            print(text, file=sys.stderr)
            return 2
        return _say(f"{text.rstrip('.')}; see `weisu --help`", 2) if text else 2
    except ArgumentError as error:
        return _say(f"WEISU_DATABASE_URL: {_first_line(error)}; write it like sqlite:////path/weisu.db, or leave it out", 2)
    except BrokenPipeError:  # the reader of our output has seen enough: what is left goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (KeyboardInterrupt, typer.Abort):
        return _say("stopped", STOPPED)
    except SQLAlchemyError as error:
        if not is_outage(error):
            return _internal(error)
        failed = _first_line(getattr(error, "orig", None) or error)
        return _say(f"the database failed meanwhile ({failed}): run the command again when it answers (details in {_details()})", 1)
    except Exception as error:  # noqa: BLE001 - the last resort: whatever it was, the person gets one line and the engineer a file
        return _internal(error)


def _say(text: str, code: int) -> int:
    print(f"weisu: {' '.join(text.split())}", file=sys.stderr)
    return code


def _internal(error: Exception) -> int:
    return _say(f"internal error: {type(error).__name__}: {_first_line(error)} (details in {_details()})", 1)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")


def _details() -> str:
    """Writes the traceback of the present exception to a file and returns its path."""
    try:
        folder = load_settings().data_dir / "errors"
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
        path.write_text(traceback.format_exc())
    except (OSError, InputError):
        traceback.print_exc()
        return "the lines above"
    return str(Path(path))
