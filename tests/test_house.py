"""Rules of the house that no linter knows."""

import ast
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from service.cli import app
from service.settings import Settings

ROOT = Path(__file__).parent.parent
PACKAGES = ("forecasting", "experiments", "service")
STORE = ROOT / "service" / "store"
RESERVED = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime"}


def modules(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def walk(path: Path) -> Iterator[ast.AST]:
    return ast.walk(ast.parse(path.read_text("utf-8"), str(path)))


def dotted(node: ast.AST) -> str:
    """`a.b.c` of an expression that is one; else empty."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (front := dotted(node.value)):
        return f"{front}.{node.attr}"
    return ""


def sql_imports(path: Path) -> set[str]:
    """What a module imports from SQLAlchemy but connections, engines and errors."""
    found: set[str] = set()
    for node in walk(path):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names if name.name.split(".")[0] == "sqlalchemy"}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "sqlalchemy" and node.module != "sqlalchemy.exc":
            found |= {f"{node.module}.{name.name}" for name in node.names} - {"sqlalchemy.Connection", "sqlalchemy.Engine"}
    return found


def clock_reads(path: Path) -> set[str]:
    """Calls of a module that ask what time it is."""
    calls = {dotted(node.func) for node in walk(path) if isinstance(node, ast.Call)}
    imported = {name.name for node in walk(path) if isinstance(node, ast.ImportFrom) and node.module == "time" for name in node.names}
    asked = {call for call in calls if call.split(".")[-1] in ("now", "today", "utcnow", "time_ns") or call == "time.time"}
    return asked | (imported & {"time", "time_ns"})


def test_the_rules_can_be_broken(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import sqlalchemy.sql\nfrom sqlalchemy import Engine, select\nfrom time import time\nx = datetime.now()\ny = pd.Timestamp.today()\n"
    )
    assert sql_imports(bad) == {"sqlalchemy.sql", "sqlalchemy.select"}
    assert clock_reads(bad) == {"time", "datetime.now", "pd.Timestamp.today"}


def test_all_sql_lives_in_the_store() -> None:
    assert {str(p.relative_to(ROOT)): found for p in modules(*PACKAGES) if STORE not in p.parents and (found := sql_imports(p))} == {}


def test_the_library_reads_no_clock() -> None:
    assert {str(p.relative_to(ROOT)): found for p in modules("forecasting") if (found := clock_reads(p))} == {}


def test_no_log_line_uses_a_name_that_the_logger_keeps_for_itself() -> None:
    for path in modules(*PACKAGES):
        for node in walk(path):
            if isinstance(node, ast.keyword) and node.arg == "extra" and isinstance(node.value, ast.Dict):
                names = {key.value for key in node.value.keys if isinstance(key, ast.Constant)}
                assert not names & RESERVED, f"{path}, line {node.value.lineno}: the logger raises KeyError"


def test_every_setting_is_documented_with_its_name_and_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text("utf-8")
    for name, field in Settings.model_fields.items():
        default = f"`{field.default}`" if str(field.default) else "empty"
        assert f"| `WEISU_{name.upper()}` | {default} | {field.description} |" in page, name


def locked(name: str) -> dict[str, set[str]]:
    """What a lock holds: the hashes of every package with its version."""
    found: dict[str, set[str]] = {}
    for line in (ROOT / name).read_text("utf-8").replace("\\\n", " ").splitlines():
        package, *hashes = line.split(" --hash=")
        found[package.strip()] = {one.strip() for one in hashes}
    return found


def test_what_runs_is_what_is_tested_and_brings_no_tools() -> None:
    runs, tested = locked("requirements.lock"), locked("requirements-dev.lock")
    assert runs.keys() < tested.keys()
    assert all(hashes and hashes == tested[package] for package, hashes in runs.items())
    names = {package.split("==")[0] for package in runs}
    assert {"fastapi", "lightgbm", "mlflow"} <= names
    assert not names & {"hatchling", "hypothesis", "mypy", "pytest", "ruff"}


def command_names() -> list[str]:
    """Every command and sub-command as it is typed."""
    names = []
    for name, command in get_command(app).commands.items():
        inner = getattr(command, "commands", {})
        names += [f"{name} {sub}" for sub in inner] or [name]
    return names


def test_the_page_of_commands_is_what_the_program_says() -> None:
    made = subprocess.run([sys.executable, ROOT / "scripts" / "commands.py"], capture_output=True, text=True, check=True)
    assert (ROOT / "docs" / "commands.md").read_text("utf-8") == made.stdout, "run: python scripts/commands.py > docs/commands.md"


@pytest.mark.parametrize("name", command_names())
def test_every_command_is_documented_and_explains_itself_and_its_options(name: str) -> None:
    assert f"## weisu {name}\n" in (ROOT / "docs" / "commands.md").read_text("utf-8")
    command = get_command(app)
    for part in name.split():
        command = command.commands[part]
    assert command.help
    for option in command.params:
        assert getattr(option, "help", None), f"{name}: {option.name}"
