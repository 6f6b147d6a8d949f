"""The panels on which product and peers are measured: slices of public tickets that are complete, and the simulated city."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

import pandas as pd

from experiments.benchmarks import runs
from experiments.benchmarks.runs import fingerprint
from forecasting import city
from forecasting.errors import InputError

START, END = date(2023, 1, 1), date(2025, 12, 31)  # the simulated city of every benchmark: figures of different days compare
HORIZON = 28
WINDOWS = 13  # of 28 days: together the last 364 days, every day of the week and season once
LONG_START = date(2022, 3, 3)  # 1,400 days until END
LARGEST = 245  # series of the panel on which time is measured
LONG = "largest-245"
SMALL_SCALE, SMALL_START = 0.01, date(2025, 10, 15)  # a second's work


@dataclass(frozen=True)
class Slice:
    """A part of a file of tickets that is complete.

    Attributes:
        folder: of the file, below the data folder.
        first, last: its days.
        categories: those that are complete; empty: all.
        not_districts: codes that are no place.
        merge: another name of a district -> its name.
    """

    folder: str
    first: str
    last: str
    categories: tuple[str, ...] = ()
    not_districts: tuple[str, ...] = ()
    merge: Mapping[str, str] = field(default_factory=dict)


BOSTON = {  # a ticket names either the neighbourhood or the planning district that holds it
    "Allston": "Allston / Brighton",
    "Brighton": "Allston / Brighton",
    "South Boston": "South Boston / South Boston Waterfront",
    "Mattapan": "Greater Mattapan",
}
REAL = {
    "chicago-311-sanitation": Slice("chicago-311-sanitation", "2011-01-01", "2014-12-31", not_districts=("0",)),
    "chicago-burglary-2011-14": Slice("chicago-burglary-2011-14", "2011-07-02", "2014-11-02"),
    "boston-311-animal": Slice(
        "boston-311-animal-pest", "2014-01-01", "2023-12-31",
        ("Animal Generic Request", "Animal Found", "Animal Lost", "Animal Noise Disturbances"), merge=BOSTON,
    ),
    "boston-311-pest": Slice(
        "boston-311-animal-pest", "2013-01-01", "2019-12-31",
        ("Pick up Dead Animal", "Pest Infestation - Residential", "Bed Bugs"), merge=BOSTON,
    ),
    "boston-311-rodent": Slice(
        "boston-311-animal-pest", "2013-01-01", "2015-12-31",
        ("Rodent Activity", "Mice Infestation - Residential", "Rat Bite"), merge=BOSTON,
    ),
}  # fmt: skip
SIMULATED = {"city-0.1": 0.1, "city-1.0": 1.0}  # name -> scale
DEFINED: dict[str, object] = {**REAL, **{name: (scale, START, END) for name, scale in SIMULATED.items()}, LONG: (LARGEST, LONG_START, END)}
"""How each panel is cut."""


@dataclass(frozen=True)
class Facts:
    """What is known of a panel without its files.

    Attributes:
        fingerprint: SHA-256 of what may be learnt from.
        first, last: its days.
    """

    fingerprint: str
    series: int
    first: str
    last: str
    tickets: int


@dataclass(frozen=True)
class Panel:
    """A panel laid down as files, which product and peers read.

    Attributes:
        counts: Parquet of `district`, `category`, `date`, `count`, only rows with tickets: a pair is known from its first row on.
        drivers: Parquet of drivers as they were known, or None.
        rates: Parquet of the generator's expected tickets, or None.
        country: whose holidays.
        told: what is known of it where its files are not, or were made otherwise.
    """

    name: str
    counts: Path
    drivers: Path | None
    rates: Path | None
    country: str
    told: Facts | None = None

    @property
    def definition(self) -> Path:
        """The file beside the counts that says how they were cut."""
        return self.counts.with_suffix(".sha256")

    @cached_property
    def facts(self) -> Facts:
        """What is known of it: by its files, unless they are not to be asked."""
        if self.told:
            return self.told
        counts = self.table()
        known = runs.content(counts, *([pd.read_parquet(self.drivers)] if self.drivers else []))
        first, last = (f"{day:%Y-%m-%d}" for day in (counts["date"].min(), counts["date"].max()))
        return Facts(known, len(counts[["district", "category"]].drop_duplicates()), first, last, int(counts["count"].sum()))

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what may be learnt from."""
        return self.facts.fingerprint

    def table(self) -> pd.DataFrame:
        """The counts."""
        return pd.read_parquet(self.counts)

    def cutoffs(self) -> list[str]:
        """The days after which the windows begin."""
        return cutoffs(pd.Timestamp(self.facts.last))


def cutoffs(last: pd.Timestamp) -> list[str]:
    """Thirteen days, 28 apart, whose windows tile the 364 days that end with `last`."""
    return [f"{last - pd.Timedelta(days=HORIZON * k):%Y-%m-%d}" for k in range(WINDOWS, 0, -1)]


def lay_down(name: str, data: Path | None, work: Path) -> Panel:
    """Makes the files of a panel below `work/name`, unless they are there and it has been cut the same way.

    Raises:
        InputError: an unknown name, or a real panel without the file of its tickets.
    """
    if panel := laid(name, work):
        return panel
    if name not in DEFINED:
        raise InputError(f"unknown panel '{name}'", "--panels", f"choose from {', '.join([*REAL, *SIMULATED])}")
    panel = _panel(name, work)
    tickets = _tickets(name, data) if name in REAL else None
    panel.counts.parent.mkdir(parents=True, exist_ok=True)
    panel.definition.unlink(missing_ok=True)
    if tickets is not None:
        made = counts_of(tickets, REAL[name])
    elif name in SIMULATED:
        made = _city(SIMULATED[name], panel)
    else:
        made = largest(daily(city.simulate(0, 0.1, LONG_START, END).counts), LARGEST)
    _write(made, panel.counts)
    panel.definition.write_text(definition(name))
    return panel


def laid(name: str, work: Path) -> Panel | None:
    """A panel whose files are there, cut as it is defined now; else None."""
    panel = _panel(name, work)
    there = name in DEFINED and panel.counts.exists() and panel.definition.exists()
    return panel if there and panel.definition.read_text() == definition(name) else None


def told(name: str, work: Path, facts: Facts) -> Panel:
    """A panel of which no more is at hand than what is known of it."""
    return replace(_panel(name, work), told=facts)


def definition(name: str) -> str:
    """How a panel is made: how it is cut, and for a simulated one what a small city looks like that the same code makes. Files that were made
    otherwise are made again."""
    return fingerprint(DEFINED[name], *([] if name in REAL else [small_city()]))


@lru_cache(maxsize=1)
def small_city() -> str:
    """SHA-256 of a winter of a small simulated city: it tells whether cities are made as they were."""
    made = city.simulate(0, SMALL_SCALE, SMALL_START, END)
    return runs.content(made.counts, made.drivers)


def _panel(name: str, work: Path) -> Panel:
    folder, simulated = work / name, name in SIMULATED
    drivers, rates = (folder / f"{file}.parquet" if simulated else None for file in ("drivers", "rates"))
    return Panel(name, folder / "counts.parquet", drivers, rates, "US" if name in REAL else "CN")


def _tickets(name: str, data: Path | None) -> pd.DataFrame:
    """The tickets of a real panel, or an InputError that says what is wrong with their file."""
    if data is None:
        raise InputError(f"'{name}' needs its tickets", "--data", "give the folder that holds them")
    path = data / REAL[name].folder / "tickets.parquet"
    try:
        return pd.read_parquet(path, columns=["ticket_id", "created_at", "district", "category"])
    except FileNotFoundError:
        raise InputError(f"{path} is not there", "--data", f"'{name}' needs it: give the folder that holds {REAL[name].folder}") from None
    except (OSError, ValueError) as error:  # no Parquet, or without these columns
        raise InputError(
            f"{path} cannot be read: {str(error).splitlines()[0]}", "--data", "give Parquet with ticket_id, created_at, district, category"
        ) from None


def counts_of(tickets: pd.DataFrame, part: Slice) -> pd.DataFrame:
    """Tickets a day of each pair: a ticket counts once, one without a district not at all."""
    once = tickets.drop_duplicates("ticket_id").dropna(subset=["district", "category"])
    once = once.assign(district=once["district"].astype(str).replace(dict(part.merge)), date=pd.to_datetime(once["created_at"]).dt.normalize())
    use = once["date"].between(part.first, part.last) & ~once["district"].isin(part.not_districts)
    if part.categories:
        use &= once["category"].isin(part.categories)
    return once[use].groupby(["district", "category", "date"]).size().rename("count").reset_index()


def daily(counts: pd.DataFrame) -> pd.DataFrame:
    """The simulated city's hours added up to days."""
    by_day = counts.groupby(["district", "category", "date"], as_index=False)["count"].sum()
    days: pd.DataFrame = by_day.assign(date=pd.to_datetime(by_day["date"]))
    return days


def largest(counts: pd.DataFrame, number: int) -> pd.DataFrame:
    """The rows of the series with most tickets."""
    total = counts.groupby(["district", "category"])["count"].sum().nlargest(number)
    return counts.merge(total.index.to_frame(index=False), on=["district", "category"])


def _city(scale: float, panel: Panel) -> pd.DataFrame:
    made = city.simulate(0, scale, START, END)
    for frame, path in ((made.drivers, panel.drivers), (made.truth_rates, panel.rates)):
        if path:
            _write(frame, path)
    return daily(made.counts)


def _write(frame: pd.DataFrame, path: Path) -> None:
    """Writes the whole file or none: what stands there is taken for complete."""
    half = path.with_suffix(".half")
    frame.to_parquet(half, index=False)
    half.rename(path)
