"""Districts and categories."""

from fastapi.testclient import TestClient


def test_districts_come_with_their_streets_and_labels(ask: TestClient) -> None:
    answer = ask.get("/v1/districts").json()
    assert answer["next"] is None
    assert [row["district"] for row in answer["items"]] == ["110105", "110108", "UNKNOWN"]
    chaoyang, haidian, unknown = answer["items"]
    assert [street["street"] for street in chaoyang["streets"]] == ["110105A", "110105B"]
    assert (haidian["zh"], haidian["en"], haidian["population"], haidian["streets"]) == ("海淀区", "Haidian", 3133469, [])
    assert (unknown["zh"], unknown["en"], unknown["population"]) == ("未知", "Unknown", None)


def test_categories_say_where_they_hang(ask: TestClient) -> None:
    items = {row["category"]: row for row in ask.get("/v1/categories").json()["items"]}
    assert items.keys() == {"UTILITY", "HEAT", "WATER", "NOISE"}
    assert (items["HEAT"]["parent"], items["UTILITY"]["parent"]) == ("UTILITY", "ALL")
    assert {code for code, row in items.items() if row["leaf"]} == {"HEAT", "WATER", "NOISE"}
    assert items["HEAT"]["safety"] is False
