"""The processes that the supervisor starts have its settings."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from service.jobs.supervisor import environment
from service.settings import Settings


def test_every_process_reads_the_settings_that_the_supervisor_has(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    settings = Settings(
        data_dir=Path("data"), hash_key=SecretStr("secret"), not_demand=("咨询", "a, b"), as_of="2025-11-09", keep_text=True, intake_body_mb=7
    )
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(folder.parent)
    assert Settings().model_dump() == settings.model_dump() | {"data_dir": folder / "data"}
