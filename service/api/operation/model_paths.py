"""`/v1/models`: which forecasts are published, which were before, what the gate said, and the way back."""

from typing import Annotated

from fastapi import APIRouter, Body, Query, Request

from service.api.deps import Requires, Running, Service
from service.api.errors import Problem, problems
from service.api.operation.schemas import GateCheck, ModelPage, ModelSet, RollBack, RolledBack
from service.api.web import pages
from service.api.web.bodies import limited_to
from service.api.web.parameters import DEFAULT_ROWS, NoParameters, Paged
from service.store import forecast_sets, rollback
from service.store.engine import reading, writing
from service.store.keys import Caller

LARGEST_BODY = 1_024  # bytes; a number

router = APIRouter(prefix="/models", tags=["operation"], route_class=limited_to(LARGEST_BODY))


@router.get("", operation_id="list_models", summary="Forecast sets and the models that made them")
def list_models(request: Request, asked: Annotated[Paged, Query()], service: Running, caller: Annotated[Caller, Requires()]) -> ModelPage:
    """Every forecast set, the newest first: which one is published, and what the gate said of each.

    查询历次预测及模型:当前发布的是哪一次,上线检查结果如何。
    """
    place = pages.place(request, asked.next, pages.number)
    limit = asked.limit or DEFAULT_ROWS
    with reading(service.engine) as conn:
        pointer = forecast_sets.pointer(conn)
        found = forecast_sets.list_sets(conn, limit + 1, None if place is None else place[0])
    page = found[:limit]
    following = pages.token(request, page[-1].id) if len(found) > limit else None
    return ModelPage(items=[_told(service, one, pointer) for one in page], next=following)


@router.post("/rollback", operation_id="roll_back", summary="Publish the previous forecast set again", responses=problems(409, 413, 415))
def roll_back(
    service: Running,
    caller: Annotated[Caller, Requires("admin")],
    _: NoParameters,
    asked: Annotated[RollBack | None, Body(description="Which set; may be left out.")] = None,
) -> RolledBack:
    """Publishes the forecast set that was published before the present one, or the one named; those after it are withdrawn: no day is judged by
    them any more. Every worker answers from it at once; the next night publishes as always. The audit log says who did it.

    Without `to` it goes back once: repeating it answers 409. A key limited to districts may not: forecasts are the whole city's.

    回退到上一次(或指定的)预测;之后的预测撤回,不再用于研判;次夜照常发布。重复提交返回 409;限区密钥不可用。
    """
    if caller.districts is not None:
        raise Problem(403, "your key is limited to districts; forecasts are the whole city's", where="Authorization")
    to = None if asked is None or asked.to is None else str(asked.to)
    clock = service.clock
    try:
        with writing(service.engine) as conn:
            done = rollback.roll_back(conn, to, clock.local_now().date(), clock.now(), caller.name)
            after = forecast_sets.about(conn, done.now.id)
    except rollback.NoWayBack as error:
        raise Problem(409, error.what, where=error.where, mend=error.mend) from None
    return RolledBack(before=done.before.id, now=_told(service, after or done.now, done.now.id), withdrawn=done.withdrawn)


def _told(service: Service, one: forecast_sets.About, pointer: int | None) -> ModelSet:
    local = service.local
    return ModelSet(
        id=one.id,
        published=one.id == pointer,
        cutoff=one.cutoff,
        horizon=one.horizon,
        issued_at=local(one.issued_at),
        published_at=None if one.published_at is None else local(one.published_at),
        withdrawn_at=None if one.withdrawn_at is None else local(one.withdrawn_at),
        run_id=one.run_id,
        mlflow_run_id=one.mlflow_run_id,
        version=one.model_version,
        shadow=one.shadow,
        gate=None if one.gate is None else ("passed" if all(check["passed"] for check in one.gate) else "failed"),
        checks=[GateCheck.model_validate(check) for check in one.gate or ()],
    )
