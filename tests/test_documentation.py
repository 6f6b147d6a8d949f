"""What users read names everything that there is."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from service.api.errors import KINDS
from service.settings import Settings
from service.store.keys import SCOPES

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
API = (DOCS / "api.md").read_text("utf-8")


def test_the_page_of_the_api_is_what_the_program_says() -> None:
    made = subprocess.run([sys.executable, ROOT / "scripts" / "api.py"], capture_output=True, text=True, check=True, cwd=ROOT)
    assert made.stdout == API, "run: python scripts/api.py > docs/api.md"


@pytest.mark.parametrize("scope", SCOPES)
def test_every_scope_is_explained(scope: str) -> None:
    assert f"| `{scope}` | " in API


@pytest.mark.parametrize("status", KINDS)
def test_every_kind_of_error_is_listed(status: int) -> None:
    assert f"| {status} | `urn:weisu:problem:{KINDS[status][0]}` |" in API


def test_every_metric_is_explained() -> None:
    source = "".join(path.read_text("utf-8") for path in (ROOT / "service").rglob("*.py"))
    metrics = set(re.findall(r'"(weisu_[a-z]+(?:_[a-z]+)+)"', source)) - {"weisu_writes", "weisu_batch"}  # options of a connection
    assert len(metrics) >= 6
    pages = "".join(path.read_text("utf-8") for path in DOCS.glob("*.md"))
    assert [name for name in sorted(metrics) if not re.search(f"`{name}(_total)?`", pages)] == []


def test_every_setting_that_a_page_names_is_one() -> None:
    known = {f"WEISU_{name.upper()}" for name in Settings.model_fields}
    named = {(path.name, name) for path in DOCS.glob("*.md") for name in re.findall(r"`(WEISU_[A-Z_]+)", path.read_text("utf-8"))}
    assert [(page, name) for page, name in sorted(named) if name not in known] == []


def test_every_page_that_a_page_links_to_is_there() -> None:
    links = [(page, link) for page in DOCS.glob("*.md") for link in re.findall(r"\]\((?!https?:)([^)#\s]+)", page.read_text("utf-8"))]
    assert len(links) > 10
    assert [(page.name, link) for page, link in links if not (page.parent / link).exists()] == []
