"""What is usual at every node: the forecast, at the level at which the node proves to be since it was made.

A forecast of four weeks may be off its level by more than single days scatter, and past events are in the history that it has learnt from. So
a factor of the forecast is followed day by day: a local level of counts with a gamma prior and a discount (Harvey & Fernandes 1989; West &
Harrison 1997), each day weighted by what a negative binomial count tells of its mean. It learns with some days' delay, so that an event does not
become usual while it begins (the guard band of EARS C2, Hutwagner et al. 2003); a day far above teaches no more than one that is just unusual
(Noufaily et al. 2013), and days of an event, once they are known for such, teach nothing: a past event is not learnt as usual.

When the forecast is renewed the level stays where it was, season and weekday apart: the new forecast may have learnt from an event. What was learnt
of a level fades, and with it the level goes back to the forecast's own.

Levels are learnt anew with every training, along the windows of its backtest; only by what days were judged when they came stays (`recall`). So
who trains every night and who trains once a month judge alike, and neither needs to keep more than what was forecast.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from forecasting import distribution
from forecasting.calibration import EVENT, EVENT_DISPERSION, LEAST_LIKELIHOOD
from forecasting.detection import evidence

DAYS = 35  # kept: four weeks in which a recoding is told apart, until what is usual has learnt it, and one before
GUARD = 3  # days before a day that say nothing of its level
HALF_LIFE = 6.0  # days after which what was learnt of a level counts half: levels of series and of cities move within some weeks
UNSURE = 0.07  # relative variance of a new forecast's level: a quarter up or down
FAR = 3.0  # standard deviations above which a day teaches no more: one in some hundred is such
LASTING = 14  # days after which what goes on is no event any more but a level that has moved
IN_EVENT = 1e-4  # a window less probable than this is one of an event: by chance a series has such in a day or two a year
NO_LESSON = 1e-3  # ... and by this much no day from which scatter is learnt: some usual days are lost, and hardly any event is left
TOGETHER = 3.6  # days, the mean of the windows of the evidence: those whose levels are off together
LEAST_LEVEL, MOST_LEVEL = 0.02, 5.0  # of a factor
WEEK = 7
LARGE = 30.0  # tickets a day from which on nodes are a group of their own: the larger, the more a level off counts beside chance
SCATTERS = (0.0, 0.005, 0.015, 0.04, 0.1)  # dispersions of single days around their level that are tried; greater ones were learnt from events
GROUP_DAYS = 60.0  # days of residuals that the scatter of its group weighs beside the own days of a node
ROUNDS = 3  # of finding events and learning without them: after the third nothing moves
NOMINAL = 3.0  # episodes a year at which the evidence of a group is set right: near those that are told
RARE = 0.2  # ... without those as rare as this, which are events more often than chance: by chance a series has one in five years
GROUP_YEARS = 30.0  # series-years of evidence as it should be, beside a group's own: a shift that follows chance costs more events than it mends
MOST_SHIFT = 8.0  # of the evidence, either way
HALF = 0.5  # a ticket, of which it cannot be told whether it would have come: Jeffreys' prior of a rate
YOUNG = 56  # days of history below which nobody can tell how wild tickets are: eight weeks give a weekday eight times
YOUNG_SHIFT = evidence.DECADE  # asked for on top then, a tenth as often: tickets of real cities needed up to half of it when their wildness was known


@dataclass(frozen=True)
class Trust:
    """What forecasts made out of sample tell of M nodes.

    Attributes:
        scatter: [M] dispersion of single days around their level.
        shift: [M] by how much the node's evidence is to be raised (or, below 0, lowered) so that it is as rare as it says.
        least: [M] tickets a day that are to be expected at least: a history of some weeks cannot tell a rarer thing from none.
    """

    scatter: np.ndarray
    shift: np.ndarray
    least: np.ndarray

    @classmethod
    def of_forecast(cls, dispersion: np.ndarray) -> "Trust":
        """In forecasts whose dispersion [M] is all that is known of them."""
        nothing = np.zeros(len(dispersion))
        return cls(dispersion, nothing, nothing)

    def with_history(self, recent: np.ndarray, days: int) -> "Trust":
        """Given how much history there was.

        Args:
            recent: [M] tickets a day of late.
            days: of history.
        """
        least = HALF * (recent * WEEK + 1.0) / days
        shift = self.shift - (YOUNG_SHIFT if days < YOUNG else 0.0)
        return Trust(self.scatter, shift, least)


@dataclass(frozen=True)
class Standing:
    """How the levels of M nodes stand: what turns a forecast into what is usual.

    Attributes:
        level: [M] factor of the forecast.
        dispersion: [M] of a single day about it.
        shift, least: [M] see `Trust`.
    """

    level: np.ndarray
    dispersion: np.ndarray
    shift: np.ndarray
    least: np.ndarray

    def usual(self, forecast: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and dispersion [M] of a day for which `forecast` [M] was made; NaN where none was."""
        mean = np.maximum(forecast * self.level, self.least)
        guessed = (mean > forecast * self.level) / HALF  # nothing is known of it but that it is rare
        return mean, self.dispersion + guessed


@dataclass
class Usual:
    """What is usual, day after day. Columns are consecutive days, the newest last, `DAYS` at most.

    Attributes:
        trust: of the M nodes.
        observed: [M, D] what came; NaN where missing or not yet known.
        mean, dispersion: [M, D] what was usual, as known `GUARD` days before; NaN where no forecast was.
        event: [M, D] days of events; after `LASTING` of them in a row the level has moved, and they are learnt from.
        in_event: how improbable a window is that is one of an event.
        forecast: [M, D] means of the forecast, in units of the newest one.
    """

    trust: Trust
    in_event: float = IN_EVENT
    observed: np.ndarray = field(init=False)
    mean: np.ndarray = field(init=False)
    dispersion: np.ndarray = field(init=False)
    forecast: np.ndarray = field(init=False)
    event: np.ndarray = field(init=False)
    told: np.ndarray = field(init=False)
    gained: np.ndarray = field(init=False)
    level: np.ndarray = field(init=False)
    lasted: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        m = len(self.trust.scatter)
        self.observed, self.mean, self.dispersion, self.forecast = (np.empty((m, 0)) for _ in range(4))
        self.event = np.empty((m, 0), bool)
        self.told, self.gained, self.level = np.zeros(m), np.zeros(m), np.ones(m)
        self.lasted = np.zeros(m, int)

    @property
    def standing(self) -> Standing:
        """By what the newest day is judged; the days after it as well, as long as nothing more is learnt."""
        unsure = 1.0 / (1.0 / UNSURE + 0.5 ** (GUARD / HALF_LIFE) * self.told)
        return Standing(self.level, self.trust.scatter + TOGETHER * unsure, self.trust.shift, self.trust.least)

    def begin(self, forecast: np.ndarray) -> None:
        """A day begins, for which `forecast` [M] was made; NaN where none was."""
        day = self.mean.shape[1] - GUARD
        if day >= 0:
            self._learn(day)
        self.level = np.clip(1.0 + self.gained / (1.0 / UNSURE + self.told), LEAST_LEVEL, None)
        mean, dispersion = self.standing.usual(forecast)
        columns = {
            "observed": np.full(len(mean), np.nan),
            "mean": mean,
            "dispersion": dispersion,
            "forecast": forecast,
            "event": np.zeros(len(mean), bool),
        }
        for name, column in columns.items():
            setattr(self, name, np.concatenate([getattr(self, name)[:, 1 - DAYS :], column[:, None]], axis=1))

    def end(self, observed: np.ndarray, events_only: bool = False) -> np.ndarray:
        """A day ends.

        Args:
            observed: [M, k] what is known by now of the last k days, k from 1 to `DAYS`.
            events_only: whether the evidence is not wanted, and only days of events are looked for.

        Returns:
            [M] the newest day's evidence, set right by `trust.shift`; see `evidence`.
        """
        days = min(observed.shape[1], self.observed.shape[1])
        self.observed[:, -days:] = observed[:, observed.shape[1] - days :]
        last = slice(-max(evidence.WINDOWS), None)
        tails = evidence.newest_tails(self.observed[:, last], self.mean[:, last], self.dispersion[:, last], events_only)
        for tail, window in zip(tails, evidence.WINDOWS, strict=True):
            self.event[tail < self.in_event, -window:] = True
        self.lasted = np.where(self.event[:, -1], self.lasted + 1, 0)
        self.event[self.lasted >= LASTING] = False
        return np.asarray(evidence.of_tails(tails) + self.trust.shift)

    def renew(self, ahead: np.ndarray, trust: Trust) -> "Usual":
        """The same days and nodes, with a new forecast from the next day on.

        Args:
            ahead: [M, 7] means of the new forecast's first week.
            trust: of the nodes in the new forecast.
        """
        new = Usual(trust, self.in_event)
        for name in ("observed", "mean", "dispersion", "event", "told", "lasted"):
            setattr(new, name, getattr(self, name).copy())
        week = self.forecast[:, -WEEK:]
        both = ~np.isnan(week) & ~np.isnan(ahead[:, : week.shape[1]])
        before, after = (np.where(both, x, 0.0).sum(axis=1) for x in (week, ahead[:, : week.shape[1]]))
        least = 0.02  # tickets: of next to nothing no quotient is taken
        turned = np.where(both.any(axis=1), (before + least) / (after + least), 1.0)
        new.forecast = self.forecast / np.maximum(turned, 1e-6)[:, None]
        level = np.clip(self.level * turned, LEAST_LEVEL, MOST_LEVEL)
        new.gained = (1.0 / UNSURE + new.told) * (level - 1.0)
        return new

    def recall(self, before: "Usual", rows: np.ndarray) -> None:
        """Takes over by what the last days were judged when they came, whatever was learnt since.

        Args:
            before: the same days, of other nodes.
            rows: [M] position of each node among those; -1: it is new.
        """
        known, at = rows >= 0, np.maximum(rows, 0)
        more = max(before.mean.shape[1] - self.mean.shape[1], 0)  # days on which nobody else forecast these nodes
        self.forecast = np.pad(self.forecast, ((0, 0), (more, 0)), constant_values=np.nan)
        self.event = np.pad(self.event, ((0, 0), (more, 0)), constant_values=False)
        for name in ("observed", "mean", "dispersion"):
            mine = np.pad(getattr(self, name), ((0, 0), (more, 0)), constant_values=np.nan)
            mine[known, mine.shape[1] - before.mean.shape[1] :] = getattr(before, name)[at[known]]
            setattr(self, name, mine)

    def _learn(self, day: int) -> None:
        """Takes in a day that is some days old."""
        there = ~(np.isnan(self.observed[:, day]) | np.isnan(self.forecast[:, day])) & ~self.event[:, day]
        mean, came = (np.where(there, x[:, day], 0.0) for x in (self.forecast, self.observed))
        scatter = self.trust.scatter
        limit = mean + FAR * np.sqrt(mean + scatter * mean**2) + 1.0
        weight = 1.0 / (1.0 + scatter * mean)
        keep = 0.5 ** (1.0 / HALF_LIFE)
        self.told = keep * self.told + weight * mean
        self.gained = keep * self.gained + weight * (np.minimum(came, limit) - mean)


def groups(like: np.ndarray, recent: np.ndarray) -> np.ndarray:
    """Groups of nodes that are like each other in groups [M] and in size, of recent [M] tickets a day: [M] numbers from 0 on, without gaps."""
    return np.asarray(np.unique(2 * like + (recent >= LARGE), return_inverse=True)[1])


def learn(mean: np.ndarray, counts: np.ndarray, groups: np.ndarray, categories: Sequence[str]) -> tuple[Trust, Usual]:
    """Learns how far forecasts are to be trusted from forecasts made out of sample.

    Args:
        mean, counts: [M, W, H] forecasts in W windows of consecutive days, one after the other, and what came; NaN where missing.
        groups: [M] numbers of groups of like nodes, from 0.
        categories: of the nodes: some are wilder than others of their size.

    Returns:
        the trust, and what was usual on the last days.
    """
    m, _, horizon = mean.shape
    forecast = mean.reshape(m, -1)
    came = np.where(np.isnan(forecast), np.nan, counts.reshape(m, -1))
    event = np.zeros(forecast.shape, bool)
    expected, unsure = forecast, np.full(forecast.shape, UNSURE / TOGETHER)
    none = np.zeros(m)
    trust = Trust.of_forecast(none)
    usual = Usual(trust)
    score = np.zeros(forecast.shape)
    for left in reversed(range(ROUNDS)):
        quiet = np.where(event, np.nan, came)
        scatter = _scatter(expected, unsure, quiet, groups)
        trust = Trust(scatter, none, none)
        usual, expected, dispersion, event, score = _run(trust, forecast, came, horizon, events_only=left > 0)
        unsure = (dispersion - scatter[:, None]) / TOGETHER
    shift = _shift(score, np.isnan(came), groups)
    shift = shift + _shift(score + shift[:, None], np.isnan(came), np.unique(list(categories), return_inverse=True)[1])
    trust = Trust(trust.scatter, shift, none)
    usual.trust, usual.in_event = trust, IN_EVENT
    return trust, usual


def _run(
    trust: Trust, forecast: np.ndarray, came: np.ndarray, horizon: int, events_only: bool
) -> tuple[Usual, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Follows the levels along windows of forecasts: the end, and mean, dispersion, event and evidence [M, D] of all days."""
    usual = Usual(trust, NO_LESSON)
    mean, dispersion, score = (np.full(forecast.shape, np.nan) for _ in range(3))
    event = np.zeros(forecast.shape, bool)
    for t in range(forecast.shape[1]):
        if t and t % horizon == 0:
            usual = usual.renew(forecast[:, t : t + WEEK], trust)
        usual.begin(forecast[:, t])
        score[:, t] = usual.end(came[:, t : t + 1], events_only)
        mean[:, t], dispersion[:, t] = usual.mean[:, -1], usual.dispersion[:, -1]
        first = max(t + 1 - max(evidence.WINDOWS), 0)
        event[:, first : t + 1] |= usual.event[:, first - t - 1 :]
    return usual, mean, dispersion, event, score


def _scatter(mean: np.ndarray, unsure: np.ndarray, counts: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[M] dispersion of single days around means [M, D] whose relative variance is `unsure`, drawn towards the group's; most likely of `SCATTERS`."""
    use = ~(np.isnan(mean) | np.isnan(counts))
    m, y, u = np.where(use, mean, 1.0), np.where(use, counts, 1.0), np.where(use, unsure, 0.0)
    event = np.maximum(np.log(EVENT) + distribution.log_likelihood(m, np.full_like(m, EVENT_DISPERSION), y), LEAST_LIKELIHOOD)
    each = np.empty((len(m), len(SCATTERS)))
    for k, scatter in enumerate(SCATTERS):
        days = np.logaddexp(np.log1p(-EVENT) + distribution.log_likelihood(m, scatter + u, y), event)
        each[:, k] = np.where(use, days, 0.0).sum(axis=1)
    total, number = np.zeros((int(groups.max(initial=0)) + 1, len(SCATTERS))), np.bincount(groups, use.sum(axis=1).astype(float))
    np.add.at(total, groups, each)
    prior = (total[: len(number)] / np.maximum(number, 1.0)[:, None])[groups]
    return np.asarray(np.array(SCATTERS)[(each + GROUP_DAYS * prior).argmax(axis=1)])


def _shift(score: np.ndarray, missing: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """[M] what sets the evidence of each group right: of episodes between `NOMINAL` and `RARE` a year it had as many as it should have."""
    wanted = float(evidence.threshold(NOMINAL / evidence.DAYS_A_YEAR))
    rarer = float(evidence.threshold(RARE / evidence.DAYS_A_YEAR)) - wanted
    found = np.zeros(len(score))
    tried = wanted + np.linspace(-MOST_SHIFT, MOST_SHIFT, 33)
    usual = evidence.episodes_a_year(tried) - evidence.episodes_a_year(tried + rarer)
    for group in np.unique(groups):
        rows = groups == group
        years = float((~missing[rows]).sum()) / evidence.DAYS_A_YEAR
        if not years:
            continue
        own = np.array([_between(np.nan_to_num(score[rows]), limit, limit + rarer) for limit in tried])
        rate = (own + GROUP_YEARS * usual) / (years + GROUP_YEARS)
        enough = np.append(np.flatnonzero(rate > NOMINAL - RARE) + 1, 0).max()  # from there on nowhere more
        found[rows] = wanted - tried[min(enough, len(tried) - 1)]
    return found


def _between(score: np.ndarray, least: float, rare: float) -> int:
    """Episodes that reach `least`, without as many as reach `rare`."""
    return evidence.episodes(score >= least) - evidence.episodes(score >= rare)
