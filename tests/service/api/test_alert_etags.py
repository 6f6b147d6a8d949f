"""Who polls and has the answer already is told so in a few bytes; who has not is never told so."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pandas as pd
import pytest
from api_city import NOW, YESTERDAY, Ask, City
from fastapi.testclient import TestClient

from service.store import alerts, areas, day_scores, jobs, silences
from service.store.engine import writing


def again(client: TestClient, path: str, tag: str, **params: Any) -> int:
    answer = client.get(path, params=params or None, headers={"If-None-Match": tag})
    assert (answer.status_code == 304) == (answer.content == b"")
    return answer.status_code


@pytest.mark.parametrize("path", ["/v1/alerts", "/v1/alerts?format=csv", "/v1/alerts/a"])
def test_an_answer_that_has_not_changed_is_not_sent_again(city: City, ask: TestClient, path: str) -> None:
    city.alert("a")
    answer = ask.get(path)
    tag = answer.headers["etag"]
    assert tag.startswith('"')
    assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Accept, Authorization", "private, no-cache")
    second = ask.get(path, headers={"If-None-Match": tag})
    assert (second.status_code, second.content, second.headers["etag"]) == (304, b"", tag)
    for given in (f'"other", {tag}', f"W/{tag}", f'"a","b",{tag}', "*"):
        assert again(ask, path, given) == 304, given
    for given in ('"other"', tag.strip('"'), '"*"', f"{tag[:-1]}x"):
        assert again(ask, path, given) == 200, given


def judged(city: City) -> None:
    with writing(city.engine) as conn:
        assert alerts.judge(conn, "a", None, "true", "值班长", None, NOW)


def followed(city: City) -> None:
    with writing(city.engine) as conn:
        assert alerts.update(conn, "a", {"observed": 70.0}, action=None, actor="watch", now=NOW)


def relabelled(city: City) -> None:
    with writing(city.engine) as conn:
        nodes = pd.DataFrame([("110108", "ALL", "district", "海淀", "Haidian District")], columns=["code", "parent", "level", "zh", "en"])
        areas.put(conn, nodes, NOW)


def joined(city: City) -> None:
    with writing(city.engine) as conn:
        areas.join(conn, {"110108B": "110108"}, NOW)


def silenced(city: City) -> None:
    city.silence()


def watched(city: City) -> None:
    with writing(city.engine) as conn:
        jobs.succeed(conn, jobs.WATCH, NOW, NOW + timedelta(minutes=10), NOW + timedelta(minutes=30))


def scored(city: City) -> None:
    row = ("110108", "HEAT", 61, 22.5, 2e-6, 0.99)
    with writing(city.engine) as conn:
        day_scores.put(conn, date(2025, 11, 8), 1, pd.DataFrame([row], columns=["area", "category", "observed", "expected", "p_value", "pit"]))


def raised(city: City) -> None:
    city.alert("b")


@pytest.mark.parametrize("change", [raised, judged, followed, relabelled, joined, silenced, watched, scored])
def test_whatever_the_answer_depends_on_changes_its_tag(city: City, ask: TestClient, change: Callable[[City], None]) -> None:
    city.alert("a")
    paths = ("/v1/alerts", "/v1/alerts/a")
    before = {path: ask.get(path) for path in paths}
    change(city)
    for path in paths:
        assert again(ask, path, before[path].headers["etag"]) == 200, path
    assert ask.get(paths[0]).content != before[paths[0]].content or change is joined


def test_a_new_forecast_set_changes_what_one_alert_rests_on(city: City, ask: TestClient) -> None:
    city.alert("a")
    tag, in_the_list = (ask.get(path).headers["etag"] for path in ("/v1/alerts/a", "/v1/alerts"))
    city.publish(YESTERDAY, NOW - timedelta(hours=1), scale=2.0)
    assert (again(ask, "/v1/alerts/a", tag), again(ask, "/v1/alerts", in_the_list)) == (200, 304)


def test_what_nobody_is_shown_leaves_the_tag_alone(city: City, ask: TestClient) -> None:
    city.alert("a")
    tag = ask.get("/v1/alerts").headers["etag"]
    with writing(city.engine) as conn:
        assert alerts.update(conn, "a", {"usual_days": 1}, action=None, actor="watch", now=NOW)
    assert again(ask, "/v1/alerts", tag) == 304


def test_when_a_silence_is_over_the_answer_is_what_it_was_before(city: City, ask: TestClient) -> None:
    city.alert("a")
    tag = ask.get("/v1/alerts").headers["etag"]
    number = city.silence()
    silent = ask.get("/v1/alerts").headers["etag"]
    with writing(city.engine) as conn:
        assert silences.end(conn, number, "值班长", NOW)
    assert silent != tag
    assert ask.get("/v1/alerts").headers["etag"] == tag


def test_every_question_and_every_view_has_a_tag_of_its_own(city: City, ask_as: Ask) -> None:
    city.alert("a")
    tags = [
        ask_as("alerts:read", districts=districts).get("/v1/alerts", params=params).headers["etag"]
        for districts in (None, ["110108"], ["110105"])
        for params in ({}, {"status": "open"}, {"limit": 1}, {"format": "csv"})
    ]
    assert len(set(tags)) == len(tags)
    assert ask_as("alerts:read").get("/v1/alerts").headers["etag"] == tags[0]  # of another key with the same view


def test_an_error_is_never_answered_by_not_modified(city: City, ask_as: Ask) -> None:
    city.alert("a", area="110105")
    client = ask_as("alerts:read", districts=["110108"])
    assert again(client, "/v1/alerts/a", "*") == 403
    assert again(client, "/v1/alerts/none", "*") == 404
    assert again(client, "/v1/alerts", "*", district="nowhere") == 422
