"""`/v1/alerts/verdicts` and `/v1/alerts/thresholds`: what alerts turned out to be, and what has come of it."""

from collections.abc import Mapping
from datetime import datetime, time
from typing import Annotated, Any

from fastapi import APIRouter, Query

from forecasting.detection import feedback
from forecasting.detection.evidence import DECADE
from forecasting.hierarchy import Tree
from service.alerting import tuning
from service.api.alerts.schemas import Threshold, ThresholdList, VerdictList, VerdictRow
from service.api.alerts.view import AlertView, label_of
from service.api.deps import Requires, Running
from service.api.trees.nodes import Nodes, category_tree
from service.api.web.parameters import EARLIEST, LATEST, NoParameters, Period
from service.store import alerts as store
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(prefix="/alerts", tags=["alerts"])


@router.get("/verdicts", operation_id="list_verdicts", summary="What alerts turned out to be")
def list_verdicts(asked: Annotated[Period, Query()], service: Running, caller: Annotated[Caller, Requires("alerts:read")]) -> VerdictList:
    """How many alerts were raised on these days, and how many were true, false, acted on or not judged, by category and kind.

    One that was acted on is not counted false, whatever came of the complaints. With a key limited to districts: of the alerts that it sees.

    统计预警反馈:按类别和类型给出属实、误报、已处置、未评价的预警数;已处置的不计为误报。
    """
    first, last = (min(max(day, EARLIEST), LATEST) for day in asked.bounds(EARLIEST, LATEST))
    with reading(service.engine) as conn:
        view = AlertView.read(service, conn, caller)
        filters = store.AlertFilters(
            visible=view.own,
            own=caller.districts or (),
            raised_from=datetime.combine(first, time.min, service.clock.zone),
            raised_before=service.clock.end_of(last),
        )
        counted: dict[tuple[str, str], dict[str | None, int]] = {}
        for one in store.verdicts(conn, filters):
            counted.setdefault((one.category, one.kind), {})[one.verdict] = one.alerts
    return VerdictList(items=[_verdicts(view, category, kind, found) for (category, kind), found in sorted(counted.items())], next=None)


def _verdicts(view: AlertView, category: str, kind: str, found: Mapping[str | None, int]) -> VerdictRow:
    true, false, acted = (found.get(verdict, 0) for verdict in store.VERDICTS)
    return VerdictRow.model_validate(
        {
            "category": category,
            "kind": kind,
            "raised": sum(found.values()),
            "true": true,
            "false": false,
            "acted": acted,
            "not_judged": found.get(None, 0),
            "false_share": false / (true + false) if true + false else None,
            "label": label_of(view.categories, category),
        }
    )


@router.get("/thresholds", operation_id="list_thresholds", summary="What verdicts have made of the evidence asked for")
def list_thresholds(service: Running, caller: Annotated[Caller, Requires("alerts:read")], _: NoParameters) -> ThresholdList:
    """How much more or less evidence an alert needs in a category since people have judged alerts, and by which verdicts; without any, nothing.

    It is derived from the verdicts of the last 365 days each time, holds for the whole city, and keeps the budget of false alerts: who withdraws
    a verdict undoes what it did.

    查询反馈对各类别预警阈值的影响:误报多则从严,属实多则从宽,均有上下限;撤回反馈即恢复。
    """
    with reading(service.engine) as conn:
        categories = category_tree(conn)
        found = tuning.thresholds(conn, Tree({code: node.parent for code, node in categories.by_code.items()}), service.clock.now())
    items = [threshold_of(categories, code, one) for code, one in sorted(found.items()) if one.true or one.false]
    return ThresholdList(items=items, next=None)


def threshold_of(categories: Nodes[Any], category: str, one: feedback.Threshold) -> Threshold:
    """A threshold as the API tells it."""
    return Threshold(
        category=category,
        true=one.true,
        false=one.false,
        false_share=one.share,
        meant_share=feedback.MEANT,
        stricter=one.stricter,
        times_as_often=float(10.0 ** (-one.stricter / DECADE)),
        label=label_of(categories, category),
    )
