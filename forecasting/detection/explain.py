"""The reason of an alert in one sentence, in Chinese and in English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from forecasting.detection.finding import SPIKE, Finding, Part
from forecasting.hierarchy import ALL

SHOWN = 3  # districts that a sentence names


@dataclass(frozen=True)
class Labels:
    """Names for people: code -> label. A code without a label stands for itself."""

    zh: Mapping[tuple[str, str], str] = field(default_factory=dict)
    en: Mapping[tuple[str, str], str] = field(default_factory=dict)

    def of(self, kind: str, code: str, language: str) -> str:
        """Label of an 'area' or 'category' in 'zh' or 'en'."""
        if code == ALL:
            whole = {("area", "zh"): "全市", ("area", "en"): "the whole city", ("category", "zh"): "全部诉求", ("category", "en"): "all categories"}
            return whole[(kind, language)]
        return (self.zh if language == "zh" else self.en).get((kind, code), code)


def number(x: float) -> str:
    """A count as a person reads it: whole from 10 on, one decimal below."""
    return f"{x:,.0f}" if x >= 9.95 else f"{x:.1f}".removesuffix(".0")


def excess(labels: Labels, finding: Finding, told: float, parts: Sequence[Part]) -> tuple[str, str]:
    """Sentences (zh, en) for more tickets than were forecast, on a day (SPIKE) or over some days (EMERGING).

    Args:
        told: tickets of the day that are the matter of other alerts.
        parts: what came to the districts, on the day (SPIKE) or since the onset (EMERGING).
    """
    day, onset, f = finding.day, finding.onset, finding
    spike = f.kind == SPIKE
    came, expected = (f.observed, f.expected) if spike else (f.since_observed, f.since_expected)
    ratio = number(came / expected) if expected >= 0.05 else ""
    where_zh, where_en = (_where(labels, parts, f.area, language) for language in ("zh", "en"))
    times_zh = f",为预期的 {ratio} 倍" if ratio else ""
    times_en = f", {ratio} times as many" if ratio else ""
    since_zh, since_en = _since(f) if spike and onset < day else ("", "")
    other_zh = f";其中约 {number(told)} 件已由其他预警说明" if told >= 0.5 else ""
    other_en = f"; about {number(told)} of them are told by other alerts" if told >= 0.5 else ""
    area_zh, area_en = (labels.of("area", f.area, language) for language in ("zh", "en"))
    category_zh, category_en = (labels.of("category", f.category, language) for language in ("zh", "en"))
    interval_zh, interval_en = f"90% 区间 {number(f.lower)}–{number(f.upper)}", f"90 % interval {number(f.lower)} to {number(f.upper)}"
    if spike:
        zh = f"{area_zh}“{category_zh}”{day:%Y-%m-%d} 受理 {number(came)} 件,预期 {number(expected)} 件({interval_zh}){times_zh}"
        en = f"{category_en} in {area_en} on {day:%Y-%m-%d}: {number(came)} tickets where {number(expected)} were expected ({interval_en}){times_en}"
    else:
        zh = (
            f"{area_zh}“{category_zh}”自 {onset:%Y-%m-%d} 至 {day:%Y-%m-%d} 共受理 {number(came)} 件,预期 {number(expected)} 件{times_zh};"
            f"当日 {number(f.observed)} 件,预期 {number(f.expected)} 件({interval_zh})"
        )
        en = (
            f"{category_en} in {area_en} from {onset:%Y-%m-%d} to {day:%Y-%m-%d}: {number(came)} tickets where {number(expected)} were "
            f"expected{times_en}; on the last day {number(f.observed)} where {number(f.expected)} were ({interval_en})"
        )
    return f"{zh}{since_zh}{where_zh}{other_zh}。", f"{en}{since_en}{where_en}{other_en}."


def _since(f: Finding) -> tuple[str, str]:
    """What came since the onset (zh, en)."""
    came, expected = number(f.since_observed), number(f.since_expected)
    return f";自 {f.onset:%Y-%m-%d} 起共 {came} 件,预期 {expected} 件", f"; since {f.onset:%Y-%m-%d} {came} where {expected} were expected"


def seasonal(
    labels: Labels, area: str, category: str, onset: date, peak: date, recent: float, coming: float, lower: float, upper: float, parts: Sequence[Part]
) -> tuple[str, str]:
    """Sentences (zh, en) for a coming rise."""
    where_zh, where_en = (_where(labels, parts, area, language) for language in ("zh", "en"))
    zh = (
        f"{labels.of('area', area, 'zh')}“{labels.of('category', category, 'zh')}”预计自 {onset:%Y-%m-%d} 起上升,{peak:%Y-%m-%d} 前后达到峰值,"
        f"高峰周日均 {number(coming)} 件(90% 区间 {number(lower)}–{number(upper)}),近期日均 {number(recent)} 件{where_zh}。"
    )
    en = (
        f"{labels.of('category', category, 'en')} in {labels.of('area', area, 'en')} is expected to rise from {onset:%Y-%m-%d} and to peak about "
        f"{peak:%Y-%m-%d}: {number(coming)} tickets a day in the highest week (90 % interval {number(lower)} to {number(upper)}), "
        f"{number(recent)} a day of late{where_en}."
    )
    return zh, en


def _where(labels: Labels, parts: Sequence[Part], area: str, language: str) -> str:
    """The districts farthest above what is usual there, with both counts; nothing for an event of one district."""
    if area != ALL or not parts:
        return ""
    zh = language == "zh"
    form = "{}({} 件,平常 {})" if zh else "{} ({} where {} are usual)"
    named = [form.format(labels.of("area", p.district, language), number(p.observed), number(p.expected)) for p in parts[:SHOWN]]
    more = len(parts) - len(named)
    if zh:
        return ";超出最多的是" + "、".join(named) + (f"等 {len(parts)} 个区" if more else "")
    return "; farthest above in " + ", ".join(named) + (f" and {more} more districts" if more > 1 else " and 1 more district" if more else "")
