"""`/livez` and `/readyz`: for load balancers."""

from fastapi import APIRouter
from sqlalchemy.exc import SQLAlchemyError

from service.api.deps import Running
from service.api.errors import Problem, problems
from service.api.operation.schemas import Live, Ready
from service.store import forecast_sets
from service.store.engine import reading

router = APIRouter(tags=["operation"])


@router.get("/livez", operation_id="live", summary="Does the process answer?", responses=problems(500))
async def live() -> Live:
    """Answers without touching anything else.

    存活检查。
    """
    return Live()


@router.get("/readyz", operation_id="ready", summary="Can the service answer?", responses=problems(500, 503))
def ready(service: Running) -> Ready:
    """200 if the database answers and forecasts are published; else 503 with the reasons.

    就绪检查:数据库可用且已发布预测。
    """
    reasons: list[str] = []
    try:
        with reading(service.engine) as conn:
            if forecast_sets.pointer(conn) is None:
                reasons.append("no forecast set is published: wait for the first nightly run, or start 'weisu train'")
    except SQLAlchemyError:
        reasons.append("the database does not answer: check WEISU_DATABASE_URL and that its server runs")
    if reasons:
        raise Problem(503, "; ".join(reasons), mend="mend what 'reasons' names", headers={"Retry-After": "5"}, reasons=reasons)
    return Ready()
