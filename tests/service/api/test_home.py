"""The operation's page at `/`: what stands on it, in both languages, and who sees which of it."""

import re
from datetime import date, timedelta

import pytest
from api_city import NOW, YESTERDAY, Ask, City
from fastapi.testclient import TestClient
from jinja2 import UndefinedError
from sqlalchemy.exc import OperationalError

from service.api.app import create_app
from service.store import counters, forecast_sets, jobs, page_tokens
from service.store.engine import writing
from service.web import pages
from service.web.words import JOBS, WORDS

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"}
HOUR = timedelta(hours=1)


def look(client: TestClient, language: str = "en", status: int = 200) -> str:
    """The page, its spaces as a browser shows them."""
    answer = client.get("/", params={"lang": language}, headers=BROWSER)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8")
    return " ".join(answer.text.split())


def seen(client: TestClient, language: str = "en") -> str:
    """The text of the page without its marks."""
    return " ".join(re.sub("<[^>]+>", " ", look(client, language)).split())


def in_time(city: City, *names: str) -> None:
    """Jobs that have succeeded a minute ago and are due in ten."""
    minute = timedelta(minutes=1)
    with writing(city.engine) as conn:
        for name in names or ("scheduler", "watch", "nightly"):
            jobs.expect(conn, name, NOW, NOW)
            jobs.succeed(conn, name, NOW - minute, NOW + 10 * minute, NOW + 20 * minute)


def test_a_browser_gets_the_page_and_everybody_else_the_json_of_before(ask: TestClient) -> None:
    before = {"name": "Weisu 未诉", "version": ask.get("/openapi.json").json()["info"]["version"], "docs": "/docs", "openapi": "/openapi.json"}
    others = ("*/*", "application/json", "application/json, text/html;q=0.9", "text/html, application/json", "text/csv", "nonsense;q=x")
    for accept in others:
        answer = ask.get("/", headers={"Accept": accept})
        assert answer.headers["content-type"] == "application/json", accept
        assert answer.json() == {**before, "status": "/v1/status"}
    for accept in (BROWSER["Accept"], "text/html", "TEXT/HTML", "application/json;q=0.5, text/*"):
        assert ask.get("/", headers={"Accept": accept}).text.startswith("<!doctype html>"), accept


def test_nothing_is_run_or_kept_and_it_is_asked_for_anew_every_minute(ask: TestClient) -> None:
    answer = ask.get("/", headers=BROWSER)
    assert answer.headers["Cache-Control"] == "no-store"
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["Content-Security-Policy"].split(";"))
    assert (policy["default-src"], policy["style-src"]) == ("'none'", "'self'")
    assert "script-src" not in policy
    assert '<meta http-equiv="refresh" content="60">' in answer.text
    assert not re.search(r"<script|<style|\son\w+=|style=|javascript:|https?://", answer.text)


def test_its_stylesheet_is_there_for_anybody(client: TestClient) -> None:
    (address,) = re.findall('<link rel="stylesheet" href="([^"]+)">', look(client, status=401))
    answer = client.get(f"/{address}")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")


def test_without_key_or_session_it_says_how_to_get_in_and_tells_no_data(city: City, client: TestClient) -> None:
    in_time(city)
    city.alert("a")
    for language, how in (("zh", "在运行服务的机器上"), ("en", "On the machine that runs the service")):
        page = look(client, language, 401)
        assert how in page
        assert "weisu keys page" in page
        assert "Authorization: Bearer" in page
        for datum in ("海淀", "Haidian", "HEAT", "nightly", "watch", str(YESTERDAY), "2025", "61"):
            assert datum not in page, datum
    client.headers["Authorization"] = "Bearer weisu_nobody_knows"
    assert "Haidian" not in look(client, status=401)


def test_a_page_that_says_how_to_get_in_is_not_asked_for_again_and_again(client: TestClient) -> None:
    assert "refresh" not in look(client, status=401), "each time is a request without a valid key"


def test_the_one_time_token_ends_on_the_page_without_the_token(city: City) -> None:
    with writing(city.engine) as conn:
        token = page_tokens.create(conn, NOW)
    with TestClient(create_app(city.settings), headers=BROWSER) as browser:
        answer = browser.get("/", params={"token": token, "lang": "zh"})
        assert [(one.status_code, one.headers["Location"]) for one in answer.history] == [(303, "/?lang=zh")]
        assert answer.status_code == 200
        assert "海淀区" not in answer.text, "there is no alert"
        assert "正在使用的预测" in answer.text
        assert token not in answer.text
        used = browser.get("/", params={"token": token}, follow_redirects=False)
        assert (used.status_code, used.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert "used before" in used.text or "已用过" in used.text


@pytest.fixture
def calm(city: City, ask: TestClient) -> TestClient:
    """A city in which all is in time and nothing is the matter."""
    in_time(city)
    return ask


def test_a_calm_service_says_so(calm: TestClient) -> None:
    page = seen(calm)
    assert "The service is in time Every job and all data are in time." in page
    assert "No alert is running. The city is as usual." in page
    assert "服务正常" in seen(calm, "zh")
    assert "没有当前预警。 全市平稳。" in seen(calm, "zh")


def test_a_late_job_is_told_first_with_how_late_it_is_and_its_last_error(city: City, calm: TestClient) -> None:
    with writing(city.engine) as conn:
        jobs.succeed(conn, "nightly", NOW - 29 * HOUR, NOW - 5 * HOUR, NOW - 3 * HOUR)
        jobs.fail(conn, "nightly", NOW - 2 * HOUR, "MemoryError\nat line 3", NOW + HOUR)
    page = seen(calm)
    assert "The service is late" in page
    assert "job nightly is late by 3 h" in page
    assert "nightly training late by 3 h 2025-11-08 02:30 2025-11-09 08:30 MemoryError" in page
    assert "at line 3" not in page
    assert "任务 nightly 已延误 3 小时" in seen(calm, "zh")
    assert calm.get("/v1/status").json()["jobs"][0]["late"] is True


def test_a_job_that_failed_and_has_time_left_is_told_though_the_service_is_calm(city: City, calm: TestClient) -> None:
    with writing(city.engine) as conn:
        jobs.fail(conn, "nightly", NOW, "OSError: no space", NOW + HOUR)
    page = seen(calm)
    assert "The service is in time" in page
    assert page.index("job nightly failed last: OSError: no space") < page.index("Running alerts")


def test_a_scheduler_that_tells_no_more_is_dead_whatever_else_was_in_time(city: City, calm: TestClient) -> None:
    with writing(city.engine) as conn:
        jobs.succeed(conn, "scheduler", NOW - HOUR, NOW - HOUR, NOW - HOUR)
    page = seen(calm)
    assert "The scheduler is dead" in page
    assert "as usual" not in page, "nobody looks any longer"
    assert "调度器已停" in seen(calm, "zh")


def test_where_no_scheduler_has_ever_run_the_page_does_not_call_it_calm(ask: TestClient) -> None:
    page = seen(ask)
    assert "The scheduler is dead" in page
    assert "no scheduler has ever run: start &#39;weisu up&#39;" in page
    assert "as usual" not in page, "nobody has looked"


def test_requests_that_wait_for_seconds_are_shown_and_nothing_to_worry_about(city: City, calm: TestClient) -> None:
    assert "Requests that wait to be counted 0 · set aside 0 " in seen(calm)
    for seconds in (20, 5):
        city.request(came=timedelta(seconds=seconds))
    page = seen(calm)
    assert "The service is in time" in page
    assert "Requests that wait to be counted 2 (since 2025-11-09 07:29 ) · set aside 0" in page
    assert "等待入库的请求 2 (最早 2025-11-09 07:29 ) · 已搁置 0" in seen(calm, "zh")


def test_requests_that_wait_for_long_make_the_service_late_and_the_page_says_where_to_look(city: City, calm: TestClient) -> None:
    city.request(came=HOUR)
    page = seen(calm)
    assert "The service is late" in page
    assert "requests that wait to be counted: 1, the oldest for 1 h: see that the scheduler is at work" in page
    assert "1 个请求等待入库,最早的已等 1 小时" in seen(calm, "zh")


def test_requests_that_could_not_be_counted_make_the_service_late_and_the_page_says_what_to_do(city: City, calm: TestClient) -> None:
    failed = [city.request(came=6 * HOUR, failed=5 * HOUR), city.request(came=6 * HOUR, failed=4 * HOUR)]
    page, named = seen(calm), ", ".join(map(str, failed))
    assert "The service is late" in page
    assert f"requests that could not be counted: 2, set aside for 5 h, their tickets are missing (ingests {named})" in page
    assert "docs/operations.md" in page
    assert "weisu retry ID" in page
    assert page.index("set aside for") < page.index("Running alerts")
    assert "Requests that wait to be counted 0 · set aside 2 (since 2025-11-09 02:30 )" in page
    assert f"2 个请求无法入库,已搁置 5 小时,其中工单未计入(接入编号 {named})" in seen(calm, "zh")


def test_a_detection_that_is_late_does_not_let_the_city_be_called_usual(city: City, calm: TestClient) -> None:
    with writing(city.engine) as conn:
        jobs.succeed(conn, "watch", NOW - HOUR, NOW - HOUR, NOW - HOUR / 2)
    page = seen(calm)
    assert "The service is late" in page
    assert "does not mean that all is calm" in page
    assert "as usual" not in page


def test_the_forecasts_that_serve_are_told(city: City, calm: TestClient) -> None:
    assert "Known until 2025-11-08 Days 2025-11-09 to 2025-11-11 Model version not registered yet Set 1" in seen(calm)
    assert "Age 5 h" in seen(calm)
    with writing(city.engine) as conn:
        forecast_sets.note_versions(conn, {"f00d": 7})
    assert "模型版本 v7" in seen(calm, "zh")


def test_before_the_first_forecast_set_it_says_what_to_do(bare_city: City, ask_bare: TestClient) -> None:
    in_time(bare_city)
    page = seen(ask_bare)
    assert "The service is late" in page
    assert "No forecast set is published yet." in page
    assert "Complete until there are no data" in page
    assert "尚无已发布的预测" in seen(ask_bare, "zh")


def test_alerts_are_told_the_highest_first_of_each_level_the_newest(city: City, calm: TestClient) -> None:
    city.alert("a", level="yellow", raised_at=NOW - HOUR)
    city.alert("b", level="red", raised_at=NOW - 9 * HOUR)
    city.alert("c", level="yellow", raised_at=NOW - HOUR / 2, status="acknowledged")
    city.alert("d", level="red", status="resolved", resolved_at=NOW)
    city.alert("e", level="red", kind="DATA", reason_en="a day was not delivered")
    page = look(calm)
    assert re.findall('href="v1/alerts/(.)"', page) == ["b", "c", "a"]
    assert page.count(">acknowledged<") == 1
    text = seen(calm)
    assert "3 shown of 3" in text
    assert "red 红色 spike · Haidian · HEAT Observed 61 Expected 22 (14–32) Since 2025-11-08 Raised 2025-11-08 22:30" in text
    assert "[internal demand alert] red spike, HEAT in Haidian: 61 on 11-08" in text
    assert "Notes on the data (1) 2025-11-08 a day was not delivered" in text


def test_what_goes_on_is_told_with_what_came_since_its_onset(city: City, calm: TestClient) -> None:
    """Its last day alone may have none too many."""
    city.alert("a", observed=2, expected=2.4, lower=0, upper=6, since_observed=30, since_expected=9.1, onset=date(2025, 11, 4))
    assert "Observed 2 Expected 2.4 (0–6) Since 2025-11-04 30 tickets, 9.1 expected" in seen(calm)
    assert "HEAT in Haidian: 30 since 11-04, 9.1 expected; 2 on 11-08" in seen(calm)
    assert "起始 2025-11-04 共 30 件,预期 9.1 件" in seen(calm, "zh")


def test_a_level_is_told_in_words_of_both_languages(city: City, calm: TestClient) -> None:
    for level, zh in (("blue", "蓝色"), ("yellow", "黄色"), ("orange", "橙色"), ("red", "红色")):
        city.alert(level, level=level)
        assert f"{zh} {level} 突增 · 海淀区 · HEAT" in seen(calm, "zh")


def test_of_many_alerts_twenty_are_told_with_the_number_of_all(city: City, calm: TestClient) -> None:
    for number in range(23):
        city.alert(f"low{number}", level="blue")
    city.alert("high", level="orange", raised_at=NOW - 99 * HOUR)
    page = look(calm)
    assert page.count("<li class=") == 20
    assert "20 shown of 24" in page
    assert page.index("v1/alerts/high") < page.index("v1/alerts/low22")


def test_what_people_wrote_is_text_and_never_a_mark(city: City, calm: TestClient) -> None:
    with writing(city.engine) as conn:
        conn.exec_driver_sql("update categories set zh = '<b>供热</b>', en = '<script>alert(1)</script>\"''&' where code = 'HEAT'")
        counters.step(conn, counters.TREES)
        jobs.fail(conn, "nightly", NOW, "<img src=x onerror=alert(1)>", NOW + HOUR)
    city.alert("a", kind="DATA", reason_en="<i>odd</i>")
    city.alert("<a'\"b>")
    page = look(calm)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;&amp;" in page
    assert "&lt;img src=x" in page
    assert "&lt;i&gt;odd" in page
    assert 'href="v1/alerts/%3Ca%27%22b%3E"' in page
    assert not re.search("<script|<img|<i>", page)
    assert "&lt;b&gt;供热&lt;/b&gt;" in look(calm, "zh")


def test_a_key_limited_to_districts_sees_what_the_lists_tell_it(city: City, ask_as: Ask) -> None:
    in_time(city)
    city.alert("own", area="110105A")
    city.alert("foreign", area="110108", reason_en="a foreign matter")
    city.alert("foreign data", area="110108", kind="DATA", reason_en="a foreign matter", level="red")
    districts = [{"code": "110105", "observed": 9.0, "expected": 2.0}, {"code": "110108", "observed": 99.0, "expected": 2.0}]
    city.alert("concerns", area="ALL", districts=districts, reason_en="a foreign matter")
    city.alert("elsewhere", area="ALL", reason_en="a foreign matter")
    client = ask_as("alerts:read", districts=["110105"])
    page = look(client)
    listed = {one["alert_id"] for one in client.get("/v1/alerts").json()["items"]}
    assert set(re.findall('href="v1/alerts/([^"]+)"', page)) == {"own", "concerns"} == listed
    assert "2 shown of 2" in page
    for foreign in ("a foreign matter", "110108", "Haidian"):
        assert foreign not in page
    assert "You see: 110105" in page


def test_a_key_that_may_not_read_alerts_is_shown_the_operation_alone(city: City, ask_as: Ask) -> None:
    in_time(city)
    city.alert("a")
    page = look(ask_as("forecasts:read"))
    assert "Your key lacks the scope alerts:read" in page
    assert "Haidian" not in page
    assert "Forecasts that serve" in page


def test_the_language_is_that_asked_for_then_the_browser_s_then_the_city_s(city: City, ask: TestClient) -> None:
    def language(accepted: str | None, **asked: str) -> str:
        headers = BROWSER if accepted is None else {**BROWSER, "Accept-Language": accepted}
        answer = ask.get("/", params=asked, headers=headers)
        (told,) = re.findall('<html lang="([^"]+)">', answer.text)
        assert answer.headers["Content-Language"] == told[:2]
        return str(told)

    assert language("en", lang="zh") == "zh-CN"
    assert language("zh-CN,zh;q=0.9,en;q=0.8") == "zh-CN"
    assert language("de, zh;q=0.2, en-GB;q=0.7") == "en"
    assert language("zh;q=0, de") == "zh-CN", "a city of China"
    assert language(None) == "zh-CN"
    assert ask.get("/?lang=fr", headers=BROWSER).status_code == 422
    elsewhere = city.settings.model_copy(update={"country": "US"})
    with TestClient(create_app(elsewhere), headers=BROWSER) as browser:
        assert '<html lang="en">' in browser.get("/").text


def test_a_page_leads_to_itself_in_the_other_language(calm: TestClient) -> None:
    assert '<a href="?lang=zh" lang="zh-CN">中文</a>' in look(calm, "en")
    assert '<a href="?lang=en" lang="en">English</a>' in look(calm, "zh")


def away(*_: object) -> None:
    raise OperationalError("select", {}, Exception("away"))


def test_whoever_tries_too_often_or_meets_a_store_that_is_away_gets_a_page_that_comes_again(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = city.settings.model_copy(update={"failures_per_minute": 1})
    with TestClient(create_app(settings)) as guessing:
        look(guessing, status=401)
        page = look(guessing, status=429)
        assert "Too many requests" in page
        assert 'http-equiv="refresh"' in page
    with TestClient(create_app(city.settings), headers={"Authorization": f"Bearer {city.key()}"}) as client:
        look(client)
        monkeypatch.setattr("service.api.operation.start_paths.home", away)
        assert "服务暂不可用" in look(client, "zh", 503)
        assert client.get("/", headers=BROWSER).headers["Retry-After"] == "5"


def test_every_word_is_there_in_both_languages() -> None:
    assert all(zh and en for zh, en in [*WORDS.values(), *JOBS.values()])
    assert all(zh.count("%") == en.count("%") for zh, en in WORDS.values())


def test_a_template_that_names_what_it_is_not_handed_fails_aloud() -> None:
    with pytest.raises(UndefinedError):
        pages.page("closed.html", "en")


@pytest.mark.parametrize(
    ("seconds", "zh", "en"),
    [
        (-5, "0 秒", "0 s"),
        (59.9, "59 秒", "59 s"),
        (61, "1 分", "1 min"),
        (3600, "1 小时", "1 h"),
        (3 * 3600 + 720, "3 小时 12 分", "3 h 12 min"),
        (86400 * 2 + 90, "2 天 1 分", "2 d 1 min"),
        (86400 * 2 + 7300, "2 天 2 小时", "2 d 2 h"),
    ],
)
def test_spans_of_time_are_told_as_people_say_them(seconds: float, zh: str, en: str) -> None:
    assert (pages.span(seconds, "zh"), pages.span(seconds, "en")) == (zh, en)
