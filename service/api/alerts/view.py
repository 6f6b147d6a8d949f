"""Alerts as one caller sees them."""

from collections.abc import Collection, Sequence
from functools import cached_property
from typing import Any

from sqlalchemy import Connection

from forecasting.detection import short
from forecasting.detection.explain import Labels as Names
from forecasting.detection.finding import DATA
from forecasting.hierarchy import ALL, Tree
from service.alerting import silencing
from service.api.alerts.schemas import Alert
from service.api.alerts.state import AlertState
from service.api.deps import Service
from service.api.trees.nodes import Nodes, visible
from service.api.trees.schemas import ConcernedDistrict, Label, Labels
from service.store import alerts as store
from service.store.categories import OWN
from service.store.keys import Caller
from service.store.silences import Cover

CHARGE = ("lead_unit", "supporting_units", "time_limit")
DATA_OF_SEVERAL = ("多个区的数据有异常,本区在内。", "Something is wrong with the data of several districts, yours among them.")


class AlertView:
    """Alerts with labels, units in charge and local moments, and of the districts concerned only the caller's own.

    Attributes:
        areas, categories: the trees.
        own: codes of the areas that the caller may see; None: all.
        silences: what is silenced now.
    """

    def __init__(self, service: Service, areas: Nodes[Any], categories: Nodes[Any], own: Collection[str] | None, silences: Sequence[Cover]) -> None:
        self.service, self.areas, self.categories, self.own, self.silences = service, areas, categories, own, silences
        self._charges: dict[str, dict[str, str | None]] = {}
        self._labels: dict[tuple[str, str], Labels] = {}

    @classmethod
    def read(cls, service: Service, conn: Connection, caller: Caller, state: AlertState | None = None) -> "AlertView":
        """The view of a caller, in a state that is read unless it is given."""
        state = state or AlertState.read(service, conn)
        areas, categories = service.remembered.trees(conn, state.numbers)
        return cls(service, areas, categories, visible(areas, caller), silencing.covers(conn, state.silences))

    @cached_property
    def kinds(self) -> Tree:
        """The category tree as detection knows it."""
        codes = self.categories.by_code
        return Tree({**{code + OWN: code for code in codes}, **{code: node.parent for code, node in codes.items()}})

    @cached_property
    def places(self) -> Tree:
        """The area tree as detection knows it."""
        return Tree({code: node.parent for code, node in self.areas.by_code.items()})

    def under(self, categories: Collection[str]) -> frozenset[str]:
        """These categories and everything below them, with what is filed under inner ones directly."""
        codes = self.categories.under(categories)
        return codes | {code + OWN for code in codes}

    def concerns(self, alert: store.Alert) -> bool:
        """Whether an alert stands on the whole city and concerns a district of the caller."""
        return alert.area == store.CITY and any(self.own is None or one["code"] in self.own for one in alert.districts)

    def sees(self, alert: store.Alert) -> bool:
        """Whether the caller may see an alert."""
        return self.own is None or alert.area in self.own or self.concerns(alert)

    def labels(self, area: str, category: str) -> Labels:
        """Labels of a node."""
        node = area, category
        if node not in self._labels:
            self._labels[node] = Labels(area=label_of(self.areas, area), category=label_of(self.categories, category))
        return self._labels[node]

    def names(self, area: str, category: str) -> Names:
        """The same, for sentences."""
        labels = self.labels(area, category)
        pairs = ("area", area, _pair(labels.area)), ("category", category, _pair(labels.category))
        return Names(*({(kind, code): label[k] for kind, code, label in pairs if code != ALL} for k in (0, 1)))

    def charge(self, category: str) -> dict[str, str | None]:
        """Units and time limit of a category, each from the nearest one above it where the table leaves it blank."""
        if category not in self._charges:
            above = [self.categories.by_code[code] for code in self.kinds.path(category) if code in self.categories.by_code]
            self._charges[category] = {name: next((found for node in above if (found := getattr(node, name))), None) for name in CHARGE}
        return self._charges[category]

    def alert(self, alert: store.Alert) -> Alert:
        """An alert as a list tells it."""
        local, reason = self.service.local, self.reason(alert)
        short_zh, short_en = short.short(self._told(alert, reason))
        zh, en = short.notice(alert.kind)
        return Alert.model_validate(
            {
                **{name: getattr(alert, name) for name in Alert.model_fields if hasattr(alert, name)},
                "alert_id": alert.id,
                "districts": [
                    ConcernedDistrict(district=one["code"], observed=one["observed"], expected=one["expected"])
                    for one in alert.districts
                    if self.own is None or one["code"] in self.own
                ],
                "reason_zh": reason[0],
                "reason_en": reason[1],
                "reason": reason[1],
                "raised_at": local(alert.raised_at),
                "changed_at": local(alert.changed_at),
                "resolved_at": None if alert.resolved_at is None else local(alert.resolved_at),
                "judged_at": None if alert.judged_at is None else local(alert.judged_at),
                "labels": self.labels(alert.area, alert.category),
                "short_zh": short_zh,
                "short_en": short_en,
                "notice": Label(zh=zh, en=en),
                **self.charge(alert.category),
                "silenced_by": [silence.silence_id for silence in self.silences if silence.covers(alert)],
            }
        )

    def reason(self, alert: store.Alert) -> tuple[str, str]:
        """Why, (zh, en). On the whole city it names districts and what came there: who may see some of them alone is told the city's numbers."""
        if self.own is None or alert.area != store.CITY:
            return alert.reason_zh, alert.reason_en
        return DATA_OF_SEVERAL if alert.kind == DATA else short.short(self._told(alert, ("", "")))

    def _told(self, alert: store.Alert, reason: tuple[str, str]) -> short.Told:
        labels, charge = self.labels(alert.area, alert.category), self.charge(alert.category)
        return short.Told(
            kind=alert.kind,
            level=alert.level,
            area=("全市", "the whole city") if alert.area == ALL else _pair(labels.area),
            category=("全部诉求", "all categories") if alert.category == ALL else _pair(labels.category),
            reason=reason,
            onset=alert.onset,
            day=alert.last_day,
            peak=alert.peak,
            observed=alert.observed,
            expected=alert.expected,
            lower=alert.lower,
            upper=alert.upper,
            lead_unit=charge["lead_unit"],
            time_limit=charge["time_limit"],
            since_observed=alert.since_observed,
            since_expected=alert.since_expected,
        )


def label_of(tree: Nodes[Any], code: str) -> Label:
    """The label of a node in both languages."""
    zh, en = tree.label(code.removesuffix(OWN))
    return Label(zh=f"{zh}(未细分)", en=f"{en} (no detail)") if code.endswith(OWN) else Label(zh=zh, en=en)


def _pair(label: Label) -> tuple[str, str]:
    return label.zh, label.en
