"""`/v1/districts`: the area tree."""

from typing import Annotated

from fastapi import APIRouter

from service.api.deps import Requires, Running
from service.api.trees.nodes import area_tree, visible
from service.api.trees.schemas import District, DistrictList, Street
from service.api.web.parameters import NoParameters
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["areas and categories"])


@router.get("/districts", operation_id="list_districts", summary="Districts and their streets")
def list_districts(service: Running, caller: Annotated[Caller, Requires("forecasts:read")], _: NoParameters) -> DistrictList:
    """Every district with its labels and streets; with a limited key, its own.

    列出各区及其街乡镇。
    """
    with reading(service.engine) as conn:
        tree = area_tree(conn)
    own = visible(tree, caller)
    districts = tree.at("district") if own is None else tree.at("district") & own
    streets = tree.at("street")
    items = [
        District(
            district=node.code,
            zh=node.zh,
            en=node.en,
            population=node.population,
            streets=[Street(street=street.code, zh=street.zh, en=street.en) for street in tree.nodes(tree.under([node.code]) & streets)],
        )
        for node in tree.nodes(districts)
    ]
    return DistrictList(items=items)
