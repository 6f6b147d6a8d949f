"""The OpenAPI document against the released one: later versions only add. And what each operation has to tell."""

import copy
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from openapi_changes import breaking

RELEASED = json.loads((Path(__file__).parents[3] / "docs" / "openapi.json").read_text("utf-8"))
CHINESE = re.compile("[\u4e00-\u9fff]")
UNITS = re.compile(
    r"tickets|alerts|seconds|days|weeks|hour|share|%|percent|bits|number|probab|rows|id\b|times|bytes|degrees|itude|inhabitants|HTTP"
    r"|evidence|weight|version|line|limit|raised|gate|webhooks|messages|seq|place|unit",
    re.IGNORECASE,
)


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_nothing_that_was_released_is_gone_or_narrower(document: dict[str, Any]) -> None:
    changes = breaking(RELEASED, document)
    assert changes == [], "\n".join(["clients of the released API would break:", *changes])


def test_additions_break_nothing(document: dict[str, Any]) -> None:
    more = copy.deepcopy(document)
    more["paths"]["/v1/more"] = {}
    more["paths"]["/v1/counts"]["get"]["parameters"].append({"name": "colour", "in": "query", "required": False, "schema": {"type": "string"}})
    more["components"]["schemas"]["CountRow"]["properties"]["colour"] = {"type": "string"}
    more["components"]["schemas"]["Alert"]["properties"]["status"]["enum"].append("asleep")
    assert breaking(document, more) == []
    assert breaking(document, document) == []


Change = Callable[[dict[str, Any]], object]
COUNTS = "GET /v1/counts:"
BROKEN: dict[str, Change] = {
    "GET /v1/counts is gone": lambda d: d["paths"].pop("/v1/counts"),
    f"{COUNTS} the parameter from is gone": lambda d: parameter(d, "counts", "from").update(name="since"),
    f"{COUNTS} the parameter category is needed now": lambda d: parameter(d, "counts", "category").update(required=True),
    f"{COUNTS} the answer 200.items[].count is gone": lambda d: members(d, "CountRow").pop("count"),
    f"{COUNTS} the answer 200.items[].count may be string now": lambda d: members(d, "CountRow")["count"].update(type="string"),
    f"{COUNTS} the answer 200.items[].count may be null now": lambda d: members(d, "CountRow").update(count={"anyOf": [INTEGER, {"type": "null"}]}),
    f"{COUNTS} the answer 200.items[].count may be missing now": lambda d: needed(d, "CountRow").remove("count"),
    f"{COUNTS} the answer 200 no longer comes as text/csv": lambda d: counts(d)["responses"]["200"]["content"].pop("text/csv"),
    f"{COUNTS} the answer 422 is gone": lambda d: counts(d)["responses"].pop("422"),
    f"{COUNTS} its operationId is no longer list_counts": lambda d: counts(d).update(operationId="counts"),
    "GET /v1/alerts: the parameter kind may no longer be array of 'SPIKE'": lambda d: words(d, "alerts", "kind").remove("SPIKE"),
    "POST /v1/alerts/{alert_id}/feedback: the body.note is needed now": lambda d: needed(d, "Feedback").append("note"),
    "POST /v1/tickets: a body of application/x-ndjson is no longer taken": lambda d: tickets(d)["content"].pop("application/x-ndjson"),
}
INTEGER = {"type": "integer"}


def counts(document: dict[str, Any]) -> Any:
    return document["paths"]["/v1/counts"]["get"]


def tickets(document: dict[str, Any]) -> Any:
    return document["paths"]["/v1/tickets"]["post"]["requestBody"]


def parameter(document: dict[str, Any], noun: str, name: str) -> Any:
    return next(told for told in document["paths"][f"/v1/{noun}"]["get"]["parameters"] if told["name"] == name)


def words(document: dict[str, Any], noun: str, name: str) -> Any:
    return parameter(document, noun, name)["schema"]["items"]["enum"]


def needed(document: dict[str, Any], schema: str) -> Any:
    return document["components"]["schemas"][schema]["required"]


def members(document: dict[str, Any], schema: str) -> Any:
    return document["components"]["schemas"][schema]["properties"]


@pytest.mark.parametrize("told", BROKEN)
def test_a_change_that_breaks_clients_is_told(document: dict[str, Any], told: str) -> None:
    changed = copy.deepcopy(document)
    BROKEN[told](changed)
    assert told in breaking(document, changed)


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def test_every_operation_says_in_chinese_what_it_does(document: dict[str, Any]) -> None:
    assert [name for name, operation in operations(document) if not CHINESE.search(operation["description"])] == []


def test_every_parameter_has_an_example_or_a_few_values_or_says_how_it_is_written(document: dict[str, Any]) -> None:
    plain = []
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            text = json.dumps(parameter)
            if not re.search(r'"examples?"|"enum"|"const"|"boolean"|`|"integer"', text):
                plain.append((name, parameter["name"]))
    assert plain == []


def test_every_answer_has_an_example_below_it(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def below(schema: Any, seen: frozenset[str] = frozenset()) -> bool:
        text = json.dumps(schema)
        if re.search(r'"examples?":|"enum":|"const":', text):
            return True
        named = set(re.findall(r"#/components/schemas/(\w+)", text)) - seen
        return any(below(schemas[name], seen | named) for name in named)

    bare = []
    for name, operation in operations(document):
        for status, answer in operation["responses"].items():
            for form, content in answer.get("content", {}).items():
                if form == "application/json" and not below(content["schema"]):
                    bare.append((name, status))
    assert bare == []


def test_every_number_of_an_answer_has_its_unit(document: dict[str, Any]) -> None:
    bare = []
    for schema_name, schema in document["components"]["schemas"].items():
        for name, told in schema.get("properties", {}).items():
            kinds = {part.get("type") for part in [told, *told.get("anyOf", [])]}
            words = f"{schema_name} {name} {told.get('description', '')} {schema.get('description', '')}"
            if kinds & {"number", "integer"} and not UNITS.search(words):
                bare.append(f"{schema_name}.{name}")
    assert bare == []
