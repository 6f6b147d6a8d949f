"""The OpenAPI document is complete: a client can be written from it alone."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient

CHINESE = re.compile("[\u4e00-\u9fff]")


@pytest.fixture
def document(client: TestClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield f"{method} {path}", operation


def test_it_names_every_promised_path(document: dict[str, Any]) -> None:
    nouns = (
        "districts",
        "categories",
        "counts",
        "counts/compare",
        "forecasts",
        "forecasts/explain",
        "forecasts/heatmap",
        "accuracy",
        "accuracy/drift",
        "alerts",
        "alerts/{alert_id}",
        "alerts/changes",
        "alerts/stream",
        "alerts/alertmanager",
        "silences",
        "silences/{silence_id}",
        "tickets",
        "drivers",
        "ingests/{ingest_id}",
        "status",
        "runs",
        "models",
        "models/rollback",
    )
    assert {f"/v1/{noun}" for noun in nouns} | {"/livez", "/readyz", "/"} <= document["paths"].keys()


def test_every_operation_is_described_in_both_languages(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    for name, operation in operations(document):
        assert operation["summary"], name
        assert re.search("[a-z]{3}", operation["description"]), name
        assert CHINESE.search(operation["description"]), name
        assert set(operation["tags"]) <= tags, name
        assert len(operation["tags"]) == 1, name
    identifiers = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)
    assert all(re.fullmatch("[a-z_]+", identifier) for identifier in identifiers)


def test_every_error_is_declared_as_a_problem_document(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        errors = {status: answer for status, answer in operation["responses"].items() if status >= "400"}
        assert "500" in errors, name
        if "/v1/" in name:
            assert {"401", "403", "422", "500", "503"} <= errors.keys(), name
        for answer in errors.values():
            assert answer["content"] == {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}, name


def test_nothing_of_the_framework_s_own_errors_is_left(document: dict[str, Any]) -> None:
    assert not {"HTTPValidationError", "ValidationError"} & document["components"]["schemas"].keys()


def test_every_answer_has_a_schema(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        if name != "get /v1/alerts/stream":  # events, one by one
            assert operation["responses"]["200"]["content"]["application/json"]["schema"].keys() == {"$ref"}, name


def test_every_parameter_is_described(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        for parameter in operation.get("parameters", []):
            assert parameter.get("description"), (name, parameter["name"])


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    referred = set(re.findall(r"'\$ref': '#/components/schemas/([^']+)'", str(document)))
    assert referred
    assert referred <= document["components"]["schemas"].keys()


def test_lists_come_with_items_and_next(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    lists = [schema for name, schema in schemas.items() if name.endswith(("List", "Page"))]
    assert len(lists) >= 6
    assert all(schema["properties"].keys() >= {"items", "next"} for schema in lists)


def test_the_key_is_declared_as_a_bearer_token(document: dict[str, Any]) -> None:
    (scheme,) = document["components"]["securitySchemes"].values()
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")


def test_the_numbers_of_a_forecast_have_their_unit(document: dict[str, Any]) -> None:
    row = document["components"]["schemas"]["ForecastRow"]["properties"]
    assert [name for name in row if name.startswith("q")] == ["q05", "q10", "q25", "q50", "q75", "q90", "q95"]
    assert all("tickets" in row[name]["description"] for name in row if name.startswith(("q", "mean")))


def test_the_evidence_of_an_alert_is_explained_for_each_kind(document: dict[str, Any]) -> None:
    alert = document["components"]["schemas"]["Alert"]
    for name in ("observed", "expected", "p_value"):
        assert re.search("SPIKE: .* SEASONAL: ", alert["properties"][name]["description"]), name
    assert "last four weeks" in alert["properties"]["observed"]["description"]
    assert "coming week" in alert["properties"]["expected"]["description"]
    assert "`expected` lies above `observed`" in alert["description"].replace("\n", " ")


def test_the_documentation_page_is_there(client: TestClient) -> None:
    assert "swagger" in client.get("/docs").text.lower()
