"""schemathesis asks what nobody thought of: every operation of the OpenAPI document, every check, against a real server over a real city.

`make fuzz` asks each operation FUZZ_EXAMPLES=2000 times; here a few have to do. FUZZ_PATHS (a regular expression) chooses paths.
"""

import os
import subprocess
import sys
from pathlib import Path

from api_city import City
from test_envelope import serving

from service.api.app import create_app

EXAMPLES = os.environ.get("FUZZ_EXAMPLES", "3")
PATHS = os.environ.get("FUZZ_PATHS", "")
CONFIG = Path(__file__).with_name("schemathesis.toml")
NO_LIMIT = {"requests_per_minute": 10**9, "failures_per_minute": 10**9}
WORKERS = "2" if EXAMPLES == "3" else "1"  # in the phase of coverage two of them fail within `ast.parse` of Python 3.11
PHASES = "examples,fuzzing" if EXAMPLES == "3" else "examples,coverage,fuzzing,stateful"


def test_nothing_that_is_asked_finds_a_fault(city: City, tmp_path: Path) -> None:
    city.alert("a")
    city.alert("b", area="ALL", kind="SEASONAL", status="acknowledged")
    with serving(create_app(city.settings.model_copy(update=NO_LIMIT))) as port:
        command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIG), "run", f"http://127.0.0.1:{port}/openapi.json"]
        command += ["--checks", "all", "--max-examples", EXAMPLES, "--phases", PHASES, "--header", f"Authorization: Bearer {city.key()}"]
        command += ["--suppress-health-check", "all", "--continue-on-failure", "--request-timeout", "90", "--no-color", "--workers", WORKERS]
        command += ["--exclude-path", "/v1/alerts/stream"]  # it does not end
        command += ["--include-path-regex", PATHS] if PATHS else []
        command += ["--seed", "1"] if EXAMPLES == "3" else []
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    print(done.stdout)
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2_000:]
    assert "Test cases:" in done.stdout
