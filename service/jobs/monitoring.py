"""After the night: what was promised, drift of what comes in, and what alerts turned out to be, in the store and in numbers."""

import logging
from datetime import date, datetime, time, timedelta
from math import isfinite

from sqlalchemy import Connection, Engine

from forecasting import drift
from forecasting import promised as scores
from forecasting.detection.finding import DATA
from forecasting.drift import Drift
from service.jobs import knowledge, promised
from service.settings import Settings
from service.store import alerts, delays, engine
from service.store import drift as drifts
from service.store import promised as store

DAYS = 28  # over which accuracy and verdicts are told: four of each weekday
LAGS = 3  # days for which a ticket is waited for when delays are compared: the last week that can be followed is then not an old one

log = logging.getLogger(__name__)


def run(db: Engine, settings: Settings) -> dict[str, float]:
    """As `score`; a night does not fail because of it: what goes wrong is in the log, and the scheduler tries again."""
    try:
        return score(db, settings)
    except Exception:  # the forecasts are published: whatever is wrong here must not undo the night
        log.exception("monitoring.failed")
        return {}


def score(db: Engine, settings: Settings) -> dict[str, float]:
    """Compares what was promised with what came, and the last week with the four before, also of days on which no night got so far.

    Returns:
        `numbers` of the last day of which enough has come in.

    Raises:
        InputError: the store holds no counts.
    """
    done = promised.run(db, settings)
    with engine.reading(db) as conn:
        until = knowledge.complete_until(conn, settings.clock)
        days = _not_looked_at(conn, until)
    found: dict[str, Drift] = {}
    for day in days:
        with engine.reading(db) as conn:
            found = look(conn, settings, day)
        with engine.writing(db) as conn:
            drifts.put(conn, day, found)
    _shadow(db, settings)
    with engine.reading(db) as conn:
        told = numbers(conn, settings, until)
    log.info("monitoring.done", extra={"days": len(done.days), "sets": done.sets, "drift": {name: one.state for name, one in found.items()}})
    return told


def _not_looked_at(conn: Connection, until: date) -> list[date]:
    """The days after the last one of which there is drift; the very last one again, for late tickets have come; before the first it alone."""
    newest = drifts.newest(conn)
    missed = 0 if newest is None else min((until - newest).days, promised.AT_ONCE) - 1
    return [until - timedelta(days=back) for back in range(max(missed, 0), -1, -1)]


def _shadow(db: Engine, settings: Settings) -> None:
    """Compares what the challenger would have promised; it stands in the way of nothing."""
    try:
        promised.run(db, settings, store.CHALLENGER)
    except Exception:
        log.exception("monitoring.challenger_failed")


def numbers(conn: Connection, settings: Settings, day: date) -> dict[str, float]:
    """What there is to tell of a day, as it stands now.

    Returns:
        `promised.LEVEL.wape`, `.bias`, `.cover80`, `.cover90`, `.wql`, `.skill`, `.chance` (over the `DAYS` days up to it and all horizons), the same
        as `challenger.LEVEL`, `drift.INPUT.psi`, `alerts.raised`, `alerts.true`, `alerts.false`, `alerts.acted` (raised on these days); those that
        are known, and nothing at all of a day of which neither accuracy nor drift is.
    """
    of_drift = {f"drift.{name}.psi": one.psi for name, one in drifts.read(conn, day, day).get(day, {}).items()}
    published, challenger = (_accuracy(conn, day, of, name) for of, name in ((store.PUBLISHED, "promised"), (store.CHALLENGER, "challenger")))
    told = published | challenger | of_drift
    return told | _alerts(conn, settings, day) if told else {}


def look(conn: Connection, settings: Settings, day: date) -> dict[str, Drift]:
    """Drift of each input (`drifts.INPUTS`) in the week that ends on a day; those of which nothing is known are left out.

    Delays are those of the last week that could be followed for `LAGS` days, and of the four before it: the mix of tickets that became known on
    their own day, on the next one, and so on.
    """
    before, last = drift.windows(day)
    # Days are followed up to the last finished one, and no farther than what has come in.
    followed = min(day, settings.clock.business_date() - timedelta(days=LAGS))
    late = [delays.lateness(conn, settings.clock, *span, LAGS) for span in drift.windows(followed)]
    mixes = {
        "category": (drifts.categories(conn, before), drifts.categories(conn, last)),
        "source": tuple(drifts.sources(conn, before, last)),
        "delay": tuple({str(lag): tickets for lag, tickets in one.items()} for one in late),
    }
    return {name: one for name, (then, now) in mixes.items() if (one := drift.drift(then, now)) is not None}


def _accuracy(conn: Connection, day: date, of: store.Of, name: str) -> dict[str, float]:
    sums = store.read(conn, day - timedelta(days=DAYS - 1), day, scores.LEVELS, of=of)
    rows = zip(sums["level"], scores.ratios(sums).to_dict("records"), strict=True)
    return {f"{name}.{level}.{ratio}": float(value) for level, row in rows for ratio, value in row.items() if isfinite(value)}


def _alerts(conn: Connection, settings: Settings, until: date) -> dict[str, float]:
    """Those raised on the days, or on the morning after them."""
    start = datetime.combine(until - timedelta(days=DAYS - 1), time.min, settings.zone)
    end = settings.clock.end_of(until + timedelta(days=1))
    found = dict.fromkeys(("raised", *alerts.VERDICTS), 0.0)
    for one in alerts.verdicts(conn, alerts.AlertFilters(raised_from=start, raised_before=end)):
        if one.kind != DATA:
            found["raised"] += one.alerts
            if one.verdict is not None:
                found[one.verdict] += one.alerts
    return {f"alerts.{name}": number for name, number in found.items()}
