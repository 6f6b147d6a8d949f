"""What each detector and rule is worth: the simulated city's year lived through without it.

    python -m experiments.benchmarks.detection.worth OUT '{"counts": …, "drivers": …, "rates": …, "country": …, "start": …, "end": …}'

It is trained on once, and its days are lived through anew with one part at a time switched off where it stands in the code.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from experiments import replay as replaying
from experiments import workers
from experiments.benchmarks import panels, runs
from experiments.benchmarks.detection import city, plant, replay
from experiments.benchmarks.detection.city import Judged
from experiments.benchmarks.runs import Run
from forecasting.detection import data_faults, events, excess, first_seen, levels, placement, seasonal, usual
from forecasting.detection import replay as living
from forecasting.detection.data_faults import Judged as OfData
from forecasting.detection.events import Assigned
from forecasting.detection.issued import Issued
from forecasting.detection.running import Running
from forecasting.detection.usual import Trust, Usual

NAME, PANEL, RATES = "worth", "city-0.1", "rates.parquet"
AT_ONCE = 2  # processes
NOTHING = "nothing"
NEVER = 10**6

TOLD = ("alert_id", "raised_at", "date", "kind", "district", "category", "districts")
FIGURES = ("pod", "slow", "beyond", "alerts a day", "heating", "from faults")


@dataclass(frozen=True)
class LeftOut:
    """A part that is switched off.

    Attributes:
        what: in words.
        where: names in modules, and what stands there instead.
        issued: what is made of each training.
    """

    what: str
    where: Sequence[tuple[Any, str, object]] = ()
    issued: Callable[[Issued], Issued] = lambda issued: issued


def _untrusting(issued: Issued) -> Issued:
    """As if nothing were known of how forecasts have been right."""
    none = np.zeros(len(issued.nodes))
    trust = replace(Trust.of_forecast(issued.dispersion[:, 0]), least=issued.trust.least, shift=none)
    return replace(issued, trust=trust, usual=Usual(trust))


def _not_followed(issued: Issued) -> Issued:
    return replace(issued, usual=Usual(issued.trust))


def _events_learnt(issued: Issued) -> Issued:
    days = copy(issued.usual)
    days.in_event = 0.0
    return replace(issued, usual=days)


PARTS: dict[str, LeftOut] = {
    NOTHING: LeftOut("nothing: the product"),
    "FIRST_SEEN": LeftOut("what is new in a place", [(first_seen, "detect", lambda *_: [])]),
    "SEASONAL": LeftOut("rises on their way", [(seasonal, "detect", lambda *_: [])]),
    "DATA": LeftOut("faults of the data told apart", [(data_faults, "detect", lambda day, days, *_: OfData([], days))]),
    "trust": LeftOut("scatter and rarity of evidence learnt from past forecasts", issued=_untrusting),
    "levels": LeftOut("levels followed beside the forecast", [(usual.Usual, "_learn", lambda *_: None)], _not_followed),
    "events not learnt": LeftOut("days of events teach nothing", issued=_events_learnt),
    "one event of many parts": LeftOut("broad events are one, of the city or a district", [(placement, "BROAD", NEVER)]),
    "one alert an event": LeftOut("an event that goes on is one alert", [(events, "assign", lambda found, *_: [Assigned(f, ()) for f in found])]),
    "later parts apart": LeftOut("a burst days after a broader event is another", [(events, "SPREADS", NEVER)]),
    "five tickets": LeftOut("at least five tickets too many", [(levels, "LEAST_EXCESS", 0.0)]),
    "shared budget": LeftOut(
        "small series leave their share of the budget to others", [(excess, "_at_most", lambda _, series: np.full(int(series.sum()), np.inf))]
    ),
}


@contextmanager
def without(part: LeftOut) -> Iterator[None]:
    """Switches a part off for a while, in this process."""
    before = [(where, name, getattr(where, name)) for where, name, _ in part.where]
    try:
        for where, name, instead in part.where:
            setattr(where, name, instead)
        yield
    finally:
        for where, name, old in before:
            setattr(where, name, old)


def out(work: Path) -> Path:
    """The file that is made."""
    return work / NAME / f"{NAME}.parquet"


def run_of(work: Path) -> Run:
    """The run that leaves out one part after the other."""
    panel = panels.lay_down(PANEL, None, work / "panels")
    asked = {
        "counts": str(panel.counts),
        "drivers": str(panel.drivers),
        "rates": str(panel.counts.with_name(RATES)),
        "country": panel.country,
        "start": f"{city.REPLAYED_FROM}",
        "end": f"{panels.END}",
    }
    inputs = runs.fingerprint(panel.fingerprint, code(), *(f"{key} {asked[key]}" for key in ("country", "start", "end")))
    return Run(out(work), runs.program(__name__, out(work), asked), inputs)


def code() -> str:
    """SHA-256 of what is lived through, and of how it is judged."""
    judges: Sequence[ModuleType] = (city, plant, sys.modules[__name__])
    return runs.fingerprint(replay.engine(), runs.code(Path(str(module.__file__)) for module in judges), panels.small_city())


def main(path: Path, asked: dict[str, str]) -> None:
    """Writes a row per part that was left out: `without, what` and FIGURES."""
    request = replaying.Request(asked["start"], asked["end"], Path(asked["counts"]), None, Path(asked["drivers"]), asked["country"])
    trained = list(replaying.prepare(request).issued(AT_ONCE))
    _say(f"{len(trained)} trainings")
    with workers.pool(AT_ONCE) as pool:
        at_work = {name: pool.submit(told, request, trained, name) for name in PARTS}
        rows = {name: future.result() for name, future in at_work.items()}
    rates = pd.read_parquet(asked["rates"])
    pd.DataFrame([_row(name, rows, rates) for name in PARTS]).to_parquet(path, index=False)


def told(request: replaying.Request, trained: Sequence[Issued], name: str) -> pd.DataFrame:
    """Demand alerts of all days without a part, see `replay.demand`."""
    part, ready = PARTS[name], replaying.prepare(request)
    with without(part):
        lived = living.live(ready.seen, iter([part.issued(one) for one in trained]), ready.world, ready.first, request.zone)
        rows = [_told(moment, one) for day in lived for moment, one in day.told]
    return replay.demand(pd.DataFrame(rows, columns=list(TOLD)))


def _told(moment: pd.Timestamp, one: Running) -> tuple[object, ...]:
    f = one.finding
    districts = list(dict.fromkeys(part.district for part in f.districts)) or [f.area]
    return one.alert_id, moment, f.day, f.kind, f.area, f.category, districts


def _row(name: str, rows: dict[str, pd.DataFrame], rates: pd.DataFrame) -> dict[str, object]:
    incidents, faults = city.truth()
    judged: Judged = city.judge(rows[name], replay.first(rows[NOTHING]), incidents, faults, rates)
    alerts = replay.first(rows[name])
    days = rows[name]["date"].max() - rows[name]["date"].min()
    values = (judged.pod, judged.slow, judged.beyond, len(alerts) / max(days.days, 1), judged.heating, judged.faults)
    return {"without": name, "what": PARTS[name].what} | dict(zip(FIGURES, values, strict=True))


def known_run(work: Path) -> Run | None:
    """The run as it would be run now; None where the city is not laid down."""
    return run_of(work) if (work / "panels" / PANEL / RATES).exists() else None


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
