"""A log line is an event with a stable name and its values, for people or for programs."""

import json
import logging
import sys

import pytest

from service import logs


def said(form: str, capsys: pytest.CaptureFixture[str]) -> str:
    """What is written of an event and of a failure."""
    root, ours = logging.getLogger(), logging.getLogger("service")
    before = root.handlers[:], root.level, ours.level
    try:
        logs.set_up("INFO", form)
        log = logging.getLogger("service.test")
        log.info("night.done", extra={"run": 3, "cutoff": "2025-11-08", "place": "海淀"})
        log.debug("not.told")
        try:
            raise ValueError("two\nlines")
        except ValueError:
            log.exception("night.failed", extra={"run": 4})
    finally:
        root.handlers[:], root.level = before[0], before[1]
        ours.setLevel(before[2])
    sys.stderr.flush()
    return capsys.readouterr().err


def test_a_line_for_people_begins_with_moment_level_and_event(capsys: pytest.CaptureFixture[str]) -> None:
    first, *rest = said("text", capsys).splitlines()
    assert first.split(" ", 1)[1] == "INFO night.done run=3 cutoff=2025-11-08 place=海淀"
    assert any("ValueError" in line for line in rest)


def test_a_line_for_programs_is_one_json_object_even_with_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    done, failed = [json.loads(line) for line in said("json", capsys).splitlines()]
    assert done.pop("at").count(":") == 2
    assert done == {"level": "INFO", "event": "night.done", "run": 3, "cutoff": "2025-11-08", "place": "海淀"}
    assert (failed["event"], failed["level"], failed["run"]) == ("night.failed", "ERROR", 4)
    assert failed["error"].endswith("ValueError: two\nlines")
