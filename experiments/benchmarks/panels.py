"""The panels on which product and peers are measured: slices of public tickets that are complete, and the simulated city."""

import hashlib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from forecasting import city
from forecasting.errors import InputError

START, END = date(2023, 1, 1), date(2025, 12, 31)  # the simulated city of every benchmark: figures of different days compare
HORIZON = 28
WINDOWS = 13  # of 28 days: together the last 364 days, every day of the week and season once
LONG_START = date(2022, 3, 3)  # 1,400 days until END
LARGEST = 245  # series of the panel on which time is measured
LONG = "largest-245"


@dataclass(frozen=True)
class Slice:
    """A part of a file of tickets that is complete.

    Attributes:
        folder: of the file, below the data folder.
        first, last: its days.
        categories: those that are complete; empty: all.
        not_districts: codes that are no place.
    """

    folder: str
    first: str
    last: str
    categories: tuple[str, ...] = ()
    not_districts: tuple[str, ...] = ()


REAL = {
    "chicago-311-sanitation": Slice("chicago-311-sanitation", "2011-01-01", "2014-12-31", not_districts=("0",)),
    "chicago-burglary-2011-14": Slice("chicago-burglary-2011-14", "2011-07-02", "2014-11-02"),
    "boston-311-animal": Slice(
        "boston-311-animal-pest", "2014-01-01", "2023-12-31",
        ("Animal Generic Request", "Animal Found", "Animal Lost", "Animal Noise Disturbances"),
    ),
    "boston-311-pest": Slice(
        "boston-311-animal-pest", "2013-01-01", "2019-12-31", ("Pick up Dead Animal", "Pest Infestation - Residential", "Bed Bugs")
    ),
    "boston-311-rodent": Slice(
        "boston-311-animal-pest", "2013-01-01", "2015-12-31", ("Rodent Activity", "Mice Infestation - Residential", "Rat Bite")
    ),
}  # fmt: skip
SIMULATED = {"city-0.1": 0.1, "city-1.0": 1.0}  # name -> scale


@dataclass(frozen=True)
class Panel:
    """A panel laid down as files, which product and peers read.

    Attributes:
        counts: Parquet of `district`, `category`, `date`, `count`, only rows with tickets: a pair is known from its first row on.
        drivers: Parquet of drivers as they were known, or None.
        rates: Parquet of the generator's expected tickets, or None.
        country: whose holidays.
    """

    name: str
    counts: Path
    drivers: Path | None
    rates: Path | None
    country: str

    @property
    def real(self) -> bool:
        """True for tickets of a real city."""
        return self.name in REAL

    @property
    def fingerprint(self) -> str:
        """SHA-256 of what may be learnt from."""
        digest = hashlib.sha256(self.counts.read_bytes())
        if self.drivers:
            digest.update(self.drivers.read_bytes())
        return digest.hexdigest()

    def table(self) -> pd.DataFrame:
        """The counts."""
        return pd.read_parquet(self.counts)

    def cutoffs(self) -> list[str]:
        """The days after which the windows begin."""
        return cutoffs(pd.Timestamp(pd.read_parquet(self.counts, columns=["date"])["date"].max()))


def cutoffs(last: pd.Timestamp) -> list[str]:
    """Thirteen days, 28 apart, whose windows tile the 364 days that end with `last`."""
    return [f"{last - pd.Timedelta(days=HORIZON * k):%Y-%m-%d}" for k in range(WINDOWS, 0, -1)]


def lay_down(name: str, data: Path | None, work: Path) -> Panel:
    """Makes the files of a panel below `work/name`, unless they are there.

    Raises:
        InputError: an unknown name, or a real panel without the folder of its tickets.
    """
    folder = work / name
    panel = Panel(
        name,
        folder / "counts.parquet",
        folder / "drivers.parquet" if name in SIMULATED else None,
        folder / "rates.parquet" if name in SIMULATED else None,
        "US" if name in REAL else "CN",
    )
    if panel.counts.exists():
        return panel
    if name in REAL and data is None:
        raise InputError(f"'{name}' needs its tickets", "--data", "give the folder that holds them")
    if name not in REAL and name not in SIMULATED and name != LONG:
        raise InputError(f"unknown panel '{name}'", "--panels", f"choose from {', '.join([*REAL, *SIMULATED])}")
    folder.mkdir(parents=True, exist_ok=True)
    if name in REAL and data is not None:
        made = counts_of(pd.read_parquet(data / REAL[name].folder / "tickets.parquet"), REAL[name])
    elif name in SIMULATED:
        made = _city(SIMULATED[name], panel)
    else:
        made = largest(daily(city.simulate(0, 0.1, LONG_START, END).counts), LARGEST)
    _write(made, panel.counts)
    return panel


def counts_of(tickets: pd.DataFrame, part: Slice) -> pd.DataFrame:
    """Tickets a day of each pair: a ticket counts once, one without a district not at all."""
    once = tickets.drop_duplicates("ticket_id").dropna(subset=["district", "category"])
    day = pd.to_datetime(once["created_at"]).dt.normalize()
    use = day.between(part.first, part.last) & ~once["district"].astype(str).isin(part.not_districts)
    if part.categories:
        use &= once["category"].isin(part.categories)
    cell = once.assign(date=day)[use]
    return cell.groupby(["district", "category", "date"]).size().rename("count").reset_index()


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
