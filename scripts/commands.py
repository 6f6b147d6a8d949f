"""Prints docs/commands.md: the help of every command. Run it when a command changes: python scripts/commands.py > docs/commands.md"""

import os

os.environ["COLUMNS"] = "80"  # the page must not depend on who makes it

from typer.main import get_command
from typer.testing import CliRunner

from service.cli import app

HEAD = """# Commands

What `weisu COMMAND --help` says, made by `scripts/commands.py`. Exit code 0: done; 2: bad input, with one line on stderr that says what is
wrong, where and how to mend it; 1: a fault of ours, or the database failed meanwhile, with a file of details. Answers go to stdout, progress to
stderr. Settings that all commands share: [settings.md](settings.md)."""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for name, command in get_command(app).commands.items():
        for words in [[name, sub] for sub in getattr(command, "commands", {})] or [[name]]:
            answer = CliRunner().invoke(app, [*words, "--help"], prog_name="weisu")
            parts.append(f"## weisu {' '.join(words)}\n\n```text\n{answer.stdout.strip()}\n```")
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    print(page(), end="")
