"""The product's replays beside those of planted sets: what is to be run, what was judged of it or is kept, and the bars."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from experiments.benchmarks import kept, panels, runs
from experiments.benchmarks.detection import bars, boston, city, cost, hourly, plant, quiet, replay, simulated
from experiments.benchmarks.detection.boston import Irene
from experiments.benchmarks.detection.city import Judged
from experiments.benchmarks.detection.hourly import Delays
from experiments.benchmarks.detection.quiet import FalseAlerts
from experiments.benchmarks.detection.replay import PRODUCT, Request
from experiments.benchmarks.page import Bar
from experiments.benchmarks.runs import Record

PARTS = ("city", "bursts", "quiet", "boston", cost.PART)


@dataclass(frozen=True)
class Part:
    """Something that is judged on its own.

    Attributes:
        part: of PARTS.
        code: modules that make what is replayed and judge what was raised.
        city: whether the simulated city is replayed.
        folders: where its replays are stored.
        judge: what is made of the replays; None where time alone is judged.
        read: the same of what is kept of it.
    """

    part: str
    code: tuple[ModuleType, ...]
    city: bool
    folders: tuple[Path, ...]
    judge: Callable[[], Any] | None
    read: Callable[[dict[str, Any]], Any]

    @property
    def definition(self) -> str:
        """How it is made and judged."""
        return runs.fingerprint(runs.code(Path(str(module.__file__)) for module in self.code), panels.small_city() if self.city else "")


@dataclass(frozen=True)
class Result:
    """What was measured of a part.

    Attributes:
        about: what on.
        record: of the (first) replay; the fingerprint is that of the result.
        outdated: whether code or inputs have changed since.
        judged: see `Part.judge`.
    """

    about: dict[str, str]
    record: Record
    outdated: bool
    judged: Any


def parts(work: Path) -> dict[str, Part]:
    """All parts, by the folder of what is kept of them."""
    found = {}
    for name in panels.SIMULATED:
        folders = (city.folder(name, work, faults=True), city.folder(name, work, faults=False))
        found[name] = Part("city", (city,), True, folders, partial(_city, name, work), lambda said: Judged(**said))
    found[hourly.FOLDER] = Part("bursts", (hourly,), True, (hourly.folder(work),), partial(_bursts, work), lambda said: Delays(tuple(said["hours"])))
    for name in quiet.PANELS:
        folder = quiet.folder(name, work)
        found[name] = Part("quiet", (quiet, simulated, plant), False, (folder,), partial(_quiet, folder), lambda said: FalseAlerts(**said))
    found[boston.FOLDER] = Part("boston", (boston,), False, (boston.folder(work),), partial(_irene, work), _read_irene)
    found[cost.NAME] = Part(cost.PART, (cost,), True, (cost.folder(work),), None, lambda _: None)
    return found


def requests(wanted: Sequence[str], data: Path | None, work: Path) -> dict[str, list[Request]]:
    """The replays of some parts, by the folder of what is kept of them; files that they read are made if they are not there."""
    made = {name: [city.request(name, work, faults) for faults in (True, False)] for name in panels.SIMULATED} if "city" in wanted else {}
    made |= {hourly.FOLDER: [hourly.request(work)]} if "bursts" in wanted else {}
    made |= {name: [quiet.request(name, work)] for name in quiet.PANELS} if "quiet" in wanted else {}
    if "boston" in wanted and data is not None:
        made[boston.FOLDER] = [boston.request(data, work)]
    return made | ({cost.NAME: [cost.request(work)]} if cost.PART in wanted else {})


def _fingerprint(part: Part, replays: Sequence[str]) -> str:
    """Of a result: of its replays, and of who judged them."""
    return runs.fingerprint(part.definition, *replays)


def is_kept(name: str, asked: Sequence[Request], root: Path, work: Path) -> bool:
    """Whether a result is kept that replays would give again."""
    record = kept.records(root / name).get(PRODUCT)
    wanted = _fingerprint(parts(work)[name], [replay.fingerprint(request.asked) for request in asked])
    return record is not None and not record.error and record.fingerprint == wanted


def collect(work: Path, root: Path | None) -> dict[str, Result]:
    """What replays have left or what is kept of them; nothing is run.

    Args:
        root: folder of all that is kept.
    """
    found = {}
    for name, part in parts(work).items():
        folder = root / name if root else None
        said = kept.about(folder) if folder else {}
        there = [one for one in part.folders if replay.asked(one) and runs.record(one / replay.SCORES)]
        there = there if part.folders[0] in there else []
        made = [record for one in there if (record := runs.record(one / replay.SCORES))]
        asked = ";".join(replay.asked(one) for one in there) or said.get("asked", "")
        if not asked:
            continue
        own = replace(made[0], fingerprint=_fingerprint(part, [record.fingerprint for record in made])) if made else None
        other = kept.records(folder).get(PRODUCT) if folder and said.get("asked") == asked else None
        wanted = _fingerprint(part, [replay.fingerprint(one) for one in asked.split(";")])
        record = runs.latest(wanted, own, other)
        if record is None:
            continue
        judged = None
        if folder and record is other:
            rows = kept.table(folder, "judged", record.fingerprint)
            if rows is not None:
                texts = rows["value"].fillna("NaN")  # which pandas has read as a hole
                judged = part.read({figure: json.loads(text) for figure, text in zip(rows["figure"], texts, strict=True)})
        elif part.judge and not record.error:
            judged = part.judge()
        found[name] = Result({"asked": asked}, record, record.fingerprint != wanted, judged)
    return found


def keep(results: Mapping[str, Result], root: Path) -> None:
    """Writes them below the folder of all that is kept."""
    for name, result in results.items():
        values = asdict(result.judged) if result.judged else {}
        rows = pd.DataFrame([{"figure": key, "value": json.dumps(value, default=str)} for key, value in values.items()])
        kept.keep(root / name, result.about, {PRODUCT: result.record}, {"judged": (rows, result.record.fingerprint)})


def bars_of(results: Mapping[str, Result]) -> list[Bar]:
    """The bars of what was measured."""

    def judged(name: str) -> Any:
        return results[name].judged if name in results else None

    old = {name for name, result in results.items() if result.outdated}
    lines = []
    for name in sorted(panels.SIMULATED, reverse=True):
        lines += bars.before(bars.of_city(name, judged(name)), name in old)
    lines += bars.before([bars.of_bursts(judged(hourly.FOLDER))], hourly.FOLDER in old)
    for name in quiet.PANELS:
        lines += bars.before([bars.of_quiet(name, judged(name))], name in old)
    lines += bars.before(bars.of_irene(judged(boston.FOLDER)), boston.FOLDER in old)
    return lines + bars.before(bars.of_cost(results[cost.NAME].record if cost.NAME in results else None), cost.NAME in old)


def _city(name: str, work: Path) -> Judged | None:
    told = replay.told(city.folder(name, work, faults=True))
    if told is None:
        return None
    rates, counts = (pd.read_parquet(work / "panels" / name / f"{what}.parquet") for what in ("rates", "counts"))
    return city.judge(told, replay.alerts(city.folder(name, work, faults=False)), *city.truth(), rates, counts)


def _bursts(work: Path) -> Delays | None:
    alerts = replay.alerts(hourly.folder(work))
    if alerts is None:
        return None
    truth = pd.read_csv(work / hourly.FOLDER / "truth.csv", dtype={"district": str}, parse_dates=["onset"])
    return Delays(tuple(hourly.delays(alerts, truth)))


def _quiet(folder: Path) -> FalseAlerts | None:
    alerts = replay.alerts(folder)
    return None if alerts is None else quiet.false_a_day(alerts)


def _irene(work: Path) -> Irene | None:
    folder = boston.folder(work)
    alerts = replay.alerts(folder)
    return None if alerts is None else boston.judge(alerts, pd.read_parquet(folder / "alerts.parquet"))


def _read_irene(said: dict[str, Any]) -> Irene:
    return Irene(**said | {"raised": pd.Timestamp(said["raised"]) if said["raised"] else None})
