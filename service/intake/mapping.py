"""A mapping file: how to read an export that is not known, or one that is meant otherwise. YAML or TOML, by its ending."""

import tomllib
from collections.abc import Mapping as Table
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from forecasting.errors import InputError
from service.intake.columns import MAY_BE_CONSTANT, OWN, Headers, plain
from service.intake.privacy import CALLER_NAME, PERSONAL_HEADER
from service.settings import NOT_DEMAND, Settings

KEYS = ("columns", "constants", "time_format", "only", "leave_out", "not_demand", "sheet")


@dataclass(frozen=True)
class Mapping:
    """How to read a file.

    Attributes:
        columns: headers by our names; they go before all that is known.
        constants: the value of all rows, by our names.
        time_format: of moments and dates, as `strptime` takes it; empty: as usual.
        only, leave_out: by header the values of the rows that are taken, or left out.
        not_demand: ticket types that are left out, in lower case.
        sheet: name of the sheet of a workbook; empty: the one with a known header.
    """

    columns: Headers = field(default_factory=dict)
    constants: Table[str, str] = field(default_factory=dict)
    time_format: str = ""
    only: Headers = field(default_factory=dict)
    leave_out: Headers = field(default_factory=dict)
    not_demand: tuple[str, ...] = NOT_DEMAND
    sheet: str = ""


def load(path: Path, otherwise: Mapping | None = None) -> Mapping:
    """Reads a mapping file; what it does not name stays as it is otherwise.

    Raises:
        InputError: it cannot be read, or names something that is none of ours.
    """
    content = _content(path)
    unknown = next((key for key in content if key not in KEYS), None)
    if unknown is not None:
        raise InputError(f"'{unknown}' is none of {', '.join(KEYS)}", str(path), "see docs/files.md")
    columns = _lists(content.get("columns", {}), "columns", path)
    constants = {name: values[0] for name, values in _lists(content.get("constants", {}), "constants", path).items()}
    for name, headers in columns.items():
        _known(name, OWN, "columns", path)
        personal = next((header for header in headers if name not in ("caller", CALLER_NAME) and PERSONAL_HEADER.search(plain(header))), None)
        if personal is not None:
            raise InputError(f"column '{personal}' is about a person and may only be mapped to caller", str(path), "leave it out")
    for name in constants:
        _known(name, MAY_BE_CONSTANT, "constants", path)
    given: dict[str, Any] = {
        "columns": columns,
        "constants": constants,
        "only": _lists(content.get("only", {}), "only", path),
        "leave_out": _lists(content.get("leave_out", {}), "leave_out", path),
    }
    for name in ("time_format", "sheet"):
        if name in content:
            given[name] = _text(content[name], name, path)
    if "not_demand" in content:
        given["not_demand"] = types(_lists({"not_demand": content["not_demand"]}, "not_demand", path)["not_demand"])
    if given.get("time_format"):
        _check_format(given["time_format"], path)
    return replace(otherwise or Mapping(), **given)


def usual(settings: Settings) -> Mapping:
    """How files are read where no mapping file says otherwise."""
    return Mapping(not_demand=types(settings.not_demand))


def types(values: tuple[str, ...]) -> tuple[str, ...]:
    """Ticket types as they are compared."""
    return tuple(value.strip().lower() for value in values)


def _content(path: Path) -> dict[str, Any]:
    ending = path.suffix.lower()
    if ending not in (".yaml", ".yml", ".toml"):
        raise InputError(f"'{path.suffix}' is neither .yaml nor .toml", str(path), "write the mapping as YAML or TOML")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text) if ending == ".toml" else yaml.safe_load(text)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", str(path)) from None
    except UnicodeDecodeError:
        raise InputError("is not written in UTF-8", str(path), "save it in UTF-8") from None
    except (yaml.YAMLError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"cannot be read ({' '.join(str(error).split())})", str(path), "see docs/files.md") from None
    if not isinstance(content, dict):
        raise InputError("holds no keys", str(path), f"write {', '.join(KEYS)}; see docs/files.md")
    return content


def _lists(value: Any, key: str, path: Path) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, dict):
        raise InputError(f"'{key}' is no table", str(path), "write a name and its value on each line below it")
    lists = {}
    for name, entry in value.items():
        entries = entry if isinstance(entry, list) else [entry]
        if not entries and key != "not_demand":
            raise InputError(f"'{name}' below '{key}' is empty", str(path), "write a text or a list of texts")
        lists[str(name)] = tuple(_text(one, str(name), path) for one in entries)
    return lists


def _text(value: Any, name: str, path: Path) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise InputError(f"'{name}' is no text", str(path), "write it in quotation marks")
    return str(value)


def _known(name: str, names: tuple[str, ...], key: str, path: Path) -> None:
    if name not in names:
        raise InputError(f"'{name}' below '{key}' is none of {', '.join(names)}", str(path), "see docs/files.md")


def _check_format(form: str, path: Path) -> None:
    moment = datetime.fromisoformat("2024-11-25T13:47:58")
    try:
        read = datetime.strptime(moment.strftime(form), form)  # noqa: DTZ007
    except (ValueError, OverflowError):
        read = None
    if read is None or read.date() != moment.date():
        raise InputError(f"time_format '{form}' does not give a date", str(path), "write it like '%d.%m.%Y %H:%M'")
