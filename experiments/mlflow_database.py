"""MLflow's own database: its address as MLflow wants it, and its SQLite file, made whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

FILE = "sqlite:///"


def address(uri: str) -> str:
    """The address with the driver that we have: MLflow's default for PostgreSQL is another one."""
    kind, colon, rest = uri.partition("://")
    return f"postgresql+psycopg{colon}{rest}" if kind in ("postgres", "postgresql") else uri


def make(uri: str) -> None:
    """Makes the SQLite file of an address where there is none. It takes seconds, and one that is half made could never be mended.

    Of several processes that do so at once the first one's file stays.
    """
    path = Path(uri.removeprefix(FILE))
    if not uri.startswith(FILE) or path.exists():
        return
    from mlflow import MlflowClient  # late: it takes seconds to import, and mostly the file is there

    path.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".new-", dir=path.parent, ignore_cleanup_errors=True) as folder:
        new = Path(folder) / path.name
        MlflowClient(tracking_uri=f"{FILE}{new}").search_experiments(max_results=1)
        with suppress(FileExistsError):
            os.link(new, path)
