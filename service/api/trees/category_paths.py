"""`/v1/categories`: the category tree."""

from typing import Annotated

from fastapi import APIRouter

from service.api.deps import Requires, Running
from service.api.trees.nodes import ALL, category_tree
from service.api.trees.schemas import Category, CategoryList
from service.api.web.parameters import NoParameters
from service.store.engine import reading
from service.store.keys import Caller

router = APIRouter(tags=["areas and categories"])


@router.get("/categories", operation_id="list_categories", summary="Categories")
def list_categories(service: Running, caller: Annotated[Caller, Requires("forecasts:read")], _: NoParameters) -> CategoryList:
    """Every category with its labels, its place in the tree and the units in charge.

    列出问题分类树及牵头、协办单位。
    """
    with reading(service.engine) as conn:
        tree = category_tree(conn)
    items = [
        Category(
            category=node.code,
            parent=node.parent,
            level=node.level,
            leaf=node.code in tree.leaves,
            zh=node.zh,
            en=node.en,
            lead_unit=node.lead_unit,
            supporting_units=node.supporting_units,
            time_limit=node.time_limit,
            safety=node.safety,
        )
        for node in tree.nodes(tree.by_code)
        if node.code != ALL
    ]
    return CategoryList(items=items)
