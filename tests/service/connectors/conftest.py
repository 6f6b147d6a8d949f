"""Other people's servers, and settings that pull from them."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import other_side
import pytest
from sqlalchemy import Engine

from service.settings import Settings

NOW = "2025-11-09T07:30:00+08:00"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def side() -> Iterator[other_side.OtherSide]:
    """A server of somebody's."""
    with other_side.running() as server:
        yield server


@pytest.fixture
def pulling(engine: Engine, folder: Path) -> Callable[..., Settings]:
    """Settings of a city on the morning of 9 November 2025, or at another moment, that pulls what is given."""

    def make(now: str = NOW, **pulls: Any) -> Settings:
        url = engine.url.render_as_string(hide_password=False)
        return Settings(data_dir=folder, database_url=url, as_of=now, pull=pulls)

    return make
