"""The reason of an alert in one sentence, in Chinese and in English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from forecasting.detection.finding import Part
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


def spike(
    labels: Labels,
    area: str,
    category: str,
    day: date,
    observed: float,
    told: float,
    expected: float,
    lower: float,
    upper: float,
    parts: Sequence[Part],
) -> tuple[str, str]:
    """Sentences (zh, en) for a day far above its forecast; `told` tickets more are the matter of other alerts."""
    ratio = f"{number(observed / expected)}" if expected >= 0.05 else ""
    where_zh, where_en = (_where(labels, parts, area, language) for language in ("zh", "en"))
    times_zh = f",为预期的 {ratio} 倍" if ratio else ""
    times_en = f", {ratio} times as many" if ratio else ""
    other_zh = f";其中约 {number(told)} 件已由其他预警说明" if told >= 0.5 else ""
    other_en = f"; about {number(told)} of them are told by other alerts" if told >= 0.5 else ""
    zh = (
        f"{labels.of('area', area, 'zh')}“{labels.of('category', category, 'zh')}”{day:%Y-%m-%d} 受理 {number(observed)} 件,"
        f"预期 {number(expected)} 件(90% 区间 {number(lower)}–{number(upper)}){times_zh}{where_zh}{other_zh}。"
    )
    en = (
        f"{labels.of('category', category, 'en')} in {labels.of('area', area, 'en')} on {day:%Y-%m-%d}: {number(observed)} tickets where "
        f"{number(expected)} were expected (90 % interval {number(lower)} to {number(upper)}){times_en}{where_en}{other_en}."
    )
    return zh, en


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
