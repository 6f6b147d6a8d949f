import pandas as pd
import pytest

from forecasting.errors import InputError
from service.intake.columns import EXPORTS, Export, plain, recognise
from service.intake.nodes import Nodes, area_of, category_of


def _tree(*rows: tuple[str, str, str, str]) -> Nodes:
    return Nodes(pd.DataFrame(rows, columns=["code", "parent", "zh", "en"]))


@pytest.mark.parametrize(
    ("headers", "kind", "found"),
    [
        ("ticket_id created_at district category", "tickets", "ticket_id created_at district category"),
        ("district category date count", "counts", "district category date count"),
        ("street district category date hour count", "counts", "district category date count street hour"),
        ("name date value", "drivers", "name date value"),
        ("code parent level zh en population", "areas", "code parent level zh en population"),
        (
            "case_enquiry_id open_dt closed_dt case_status type reason subject neighborhood latitude longitude source",
            "tickets",
            "ticket_id created_at closed_at status category category_l1 district lat lon source",
        ),
        (
            "工单编号 来电时间 来电人 来电人电话/账号 被反映区 被反映街乡镇 问题分类 办结时间 工单状态",
            "tickets",
            "ticket_id created_at district street category closed_at status caller caller_name",
        ),
        ("受理编号 创建时间 所在区 街道乡镇 一级分类 二级分类 三级分类", "tickets", "ticket_id created_at district street path_1 path_2 path_3"),
        ("\ufeffTicket_ID, Created At ,DISTRICT,Category", "tickets", "ticket_id created_at district category"),
    ],
)
def test_a_table_is_recognised_by_its_headers(headers: str, kind: str, found: str) -> None:
    split = headers.split(",") if "," in headers else headers.split()
    layout = recognise(split, "a.csv")
    assert layout.kind == kind
    assert set(layout.positions) == set(found.split())


@pytest.mark.parametrize("export", EXPORTS, ids=lambda export: export.name)
def test_no_header_stands_for_two_columns_of_an_export(export: Export) -> None:
    headers = [header for ours, headers in export.columns.items() if ours != "ticket_type" for header in headers]
    assert len(headers) == len(set(headers)) == len({plain(header) for header in headers})


def test_of_two_headers_for_one_column_the_more_telling_is_taken() -> None:
    layout = recognise(["创建时间", "来电时间", "工单编号", "区县", "问题分类"], "a.csv")
    assert layout.positions["created_at"] == 1


@pytest.mark.parametrize(
    ("headers", "says"),
    [
        (["ticket_id", "district", "category"], "no column 'created_at'; a table of tickets needs"),
        (["district", "category", "date"], "no column 'count'; a table of counts needs"),
        (["来电人", "电话"], "no column of it is known"),
        ([], "no column of it is known"),
    ],
)
def test_a_missing_column_is_named(headers: list[str], says: str) -> None:
    with pytest.raises(InputError, match=says):
        recognise(headers, "a.csv")


def test_areas_are_found_by_code_or_label_or_noted_as_new() -> None:
    tree = _tree(("110101", "ALL", "东城区", "Dongcheng"), ("S1", "110101", "景山", "Jingshan"))
    assert area_of(tree, "东城区") == area_of(tree, "Dongcheng") == area_of(tree, "110101") == "110101"
    assert area_of(tree, "东城区", "景山") == "S1"
    assert area_of(tree, None, "景山") == "S1"
    assert area_of(tree, "西城区", "椿树") == "椿树"
    assert area_of(tree, None) == area_of(tree, None, "nowhere") == area_of(tree, "ALL") == "UNKNOWN"
    assert tree.found == {"西城区": "ALL", "椿树": "西城区", "UNKNOWN": "ALL"}


def test_streets_of_the_same_name_in_two_districts_stay_apart() -> None:
    tree = _tree()
    assert [area_of(tree, district, "城关") for district in ("A", "B", "A", "B")] == ["城关", "B/城关", "城关", "B/城关"]
    assert tree.found["B/城关"] == "B"
    again = Nodes(
        pd.DataFrame({"code": list(tree.parents), "parent": list(tree.parents.values()), "zh": list(tree.parents), "en": list(tree.parents)})
    )
    assert [area_of(again, district, "城关") for district in ("B", "A")] == ["B/城关", "城关"]
    assert again.found == {}


def test_a_label_that_two_nodes_have_finds_neither() -> None:
    tree = _tree(("S1", "D1", "城关", "x"), ("S2", "D2", "城关", "y"))
    assert tree.known("城关") is None
    assert tree.known("x") == "S1"


@pytest.mark.parametrize(
    ("name", "first_level", "code", "found"),
    [
        ("住房->物业->停车", None, "住房->物业->停车", {"住房": "ALL", "住房->物业->停车": "住房"}),
        (" 住房 → 物业 ", None, "住房->物业", {"住房": "ALL", "住房->物业": "住房"}),
        ("供热", None, "供热", {"供热": "ALL"}),
        ("Pothole", "Public Works", "Pothole", {"Public Works": "ALL", "Pothole": "Public Works"}),
        ("Same", "Same", "Same", {"Same": "ALL"}),
        ("公交", "交通", "BUS", {}),
        ("New", "BUS", "New", {"New": "TRAFFIC"}),
        ("->", None, None, {}),
        ("ALL", None, None, {}),
        (None, "Public Works", None, {}),
    ],
)
def test_a_category_stands_under_its_first_level(name: str | None, first_level: str | None, code: str | None, found: dict[str, str]) -> None:
    tree = _tree(("TRAFFIC", "ALL", "交通", "Traffic"), ("BUS", "TRAFFIC", "公交", "Bus"))
    assert category_of(tree, name, first_level) == code
    assert tree.found == found
