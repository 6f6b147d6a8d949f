"""The short form: one line of at most 140 characters, whatever the labels; what matters most comes first."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.detection.short import KINDS, LEVELS, LONGEST, Told, short

TOLD = Told(
    kind="SPIKE",
    level="yellow",
    area=("海淀区", "Haidian"),
    category=("供热采暖", "Heating"),
    reason=("没有数据", "nothing came"),
    onset=date(2025, 11, 14),
    day=date(2025, 11, 15),
    peak=date(2025, 11, 18),
    observed=61,
    expected=22.5,
    lower=14,
    upper=32,
    lead_unit="市城市管理委",
    time_limit="24 h",
)


def test_a_burst_is_told_with_its_numbers_and_units() -> None:
    assert short(TOLD) == (
        "【诉求预警(内部)】黄色·突增·海淀区·供热采暖:11-15 受理 61 件,预期 22 件(90% 区间 14–32);自 11-14 起;牵头:市城市管理委;时限:24 h",
        "[internal demand alert] yellow spike, Heating in Haidian: 61 on 11-15, 22 expected (90 % interval 14–32); since 11-14; lead: 市城市管理委",
    )


def test_what_goes_on_without_too_many_on_its_last_day_is_told_with_what_came_since_its_onset() -> None:
    since = replace(TOLD, since_observed=203, since_expected=95.5)
    assert short(since) == short(TOLD), "a day of too many says most"
    zh, en = short(replace(since, observed=30))
    assert "供热采暖:11-14 以来受理 203 件,预期 96 件;11-15 30 件;牵头" in zh
    assert "Heating in Haidian: 203 since 11-14, 96 expected; 30 on 11-15; lead: 市城市管理委; limit: 24 h" in en
    assert short(replace(since, observed=30, onset=since.day)) == short(replace(TOLD, observed=30, onset=since.day))


def test_a_coming_rise_is_told_with_its_peak() -> None:
    zh, en = short(replace(TOLD, kind="SEASONAL", observed=7, expected=410))
    assert "季节性·海淀区·供热采暖:预计 11-18 前后达峰,高峰周日均 410 件,近期 7 件" in zh
    assert "Heating in Haidian: peak about 11-18, 410 a day in the highest week, 7 of late" in en


def test_a_note_on_the_data_is_no_demand_alert() -> None:
    assert short(replace(TOLD, kind="DATA"))[0] == "【数据提示(内部)】海淀区·供热采暖:没有数据"


def test_what_is_least_useful_is_left_out_first_and_labels_are_cut_last() -> None:
    zh, en = short(replace(TOLD, category=("类" * 40, "c" * 60)))
    assert "类" * 40 in zh
    assert "c" * 60 in en
    assert "limit" not in en
    zh, en = short(replace(TOLD, category=("类" * 400, "c" * 400)))
    for text in (zh, en):
        assert len(text) == LONGEST
        assert "…" in text
        assert "61" in text
    assert "海淀区" in zh, "the short label stays whole"


words = st.text(max_size=200)
numbers = st.floats(0, 1e9)


@given(
    told=st.builds(
        Told,
        kind=st.sampled_from(sorted(KINDS)),
        level=st.sampled_from(sorted(LEVELS)),
        area=st.tuples(words, words),
        category=st.tuples(words, words),
        reason=st.tuples(words, words),
        onset=st.dates(),
        day=st.dates(),
        peak=st.none() | st.dates(),
        observed=st.none() | numbers,
        expected=numbers,
        lower=numbers,
        upper=numbers,
        lead_unit=st.none() | words,
        time_limit=st.none() | words,
    )
)
def test_it_is_one_line_of_at_most_140_characters_that_says_what_it_is(told: Told) -> None:
    for text, notice in zip(short(told), ("(内部)", "internal"), strict=True):
        assert len(text) <= 140
        assert text.isprintable()
        assert notice in text
        if told.kind != "DATA":
            assert "件" in text or "expected" in text or "of late" in text or text.endswith("…")


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_every_kind_has_its_words(kind: str) -> None:
    assert all(short(replace(TOLD, kind=kind)))
