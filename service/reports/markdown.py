"""Tables and numbers of reports in Markdown."""

from collections.abc import Mapping, Sequence

import pandas as pd


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table; all columns but the first stand to the right."""
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def percent(share: float) -> str:
    """A share in per cent; a dash where there is none."""
    return "–" if pd.isna(share) else f"{100 * share:.1f} %"


def named(code: str, names: Mapping[str, str]) -> str:
    """A code and its label, if it has one of its own."""
    label = names.get(code, code)
    return code if label == code else f"{code} {label}"
