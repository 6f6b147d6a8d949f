"""Makes pages from templates. What they are handed is escaped wherever it stands: labels and reasons come from the city's own files."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from forecasting.detection import explain, short
from service.web.words import JOBS, LANGUAGES, WORDS, Language

STATIC = Path(__file__).parent / "static"
REFRESH = 60  # seconds after which a page that shows something is asked for anew
POLICY = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""Content-Security-Policy of every page: our stylesheet and nothing else, above all no script."""
_HOUR = 3600
_SIZES = (24 * _HOUR, _HOUR, 60, 1)
_UNITS = {"zh": ("天", "小时", "分", "秒"), "en": ("d", "h", "min", "s")}


def page(template: str, language: Language, **shown: Any) -> str:
    """A page.

    Args:
        template: name of one in `templates/`.
        shown: what it shows, by the names that it uses.

    Raises:
        jinja2.UndefinedError: the template names something that it was not handed.
    """
    return _environment(language).get_template(template).render(shown)


def span(seconds: float, language: Language) -> str:
    """A span of time as people say it, in its two largest units from an hour on; less than none is none."""
    left, parts = int(max(seconds, 0)), []
    for size, unit in zip(_SIZES, _UNITS[language], strict=True):
        number, left = divmod(left, size)
        if number:
            parts.append(f"{number} {unit}")
    largest = parts[:2] if seconds >= _HOUR else parts[:1]
    return " ".join(largest) or f"0 {_UNITS[language][-1]}"


@cache
def _environment(language: Language) -> Environment:
    made = Environment(loader=PackageLoader("service.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    k = LANGUAGES.index(language)
    made.globals.update(
        language=language,
        other=LANGUAGES[1 - k],
        refresh=REFRESH,
        say={name: pair[k] for name, pair in WORDS.items()},
        jobs_called={name: pair[k] for name, pair in JOBS.items()},
        kinds={name: pair[k] for name, pair in short.KINDS.items()},
        levels=_both_ways(short.LEVELS, k),
    )
    made.filters.update(number=explain.number, span=lambda seconds: span(seconds, language), moment=_moment)
    return made


def _both_ways(levels: Mapping[str, tuple[str, str]], k: int) -> dict[str, str]:
    """Colours by name: in the page's language first, and in the other one too, for colour is no sign to everybody."""
    return {name: f"{pair[k]} {pair[1 - k]}" for name, pair in levels.items()}


def _moment(at: date | datetime) -> str:
    """A local moment to the minute."""
    return f"{at:%Y-%m-%d %H:%M}"
