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


def first_seen(labels: Labels, finding: Finding, unseen: int) -> tuple[str, str]:
    """Sentences (zh, en) for what was not seen for `unseen` days and is now."""
    f, came = finding, number(finding.since_observed)
    area_zh, area_en = (labels.of("area", f.area, language) for language in ("zh", "en"))
    category_zh, category_en = (labels.of("category", f.category, language) for language in ("zh", "en"))
    where_zh, where_en = (_where(labels, f.districts, f.area, language) for language in ("zh", "en"))
    zh = f"{area_zh}“{category_zh}”为首发诉求:自 {f.onset:%Y-%m-%d} 至 {f.day:%Y-%m-%d} 共受理 {came} 件,此前至少 {unseen} 天没有{where_zh}。"
    en = (
        f"{category_en} in {area_en}, seen for the first time: {came} tickets from {f.onset:%Y-%m-%d} to {f.day:%Y-%m-%d}, none in the "
        f"{unseen} days before or longer{where_en}."
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


MISSING, SHORT, REBOUND, DOUBLED, NEW = "missing", "short", "rebound", "doubled", "new"
_DATA = {
    MISSING: (
        "{area}{day}应有约 {expected} 件诉求,实收 {observed} 件:数据缺失,补齐前不作研判",
        "{area} on {day}: {observed} tickets where about {expected} were expected: data are missing; nothing is judged there until they come",
    ),
    SHORT: (
        "{area}{day}各类诉求一致偏少,实收 {observed} 件,预期 {expected} 件:数据迟到、缺时段或热线中断,不属诉求变化",
        "{area} on {day}: {observed} tickets where {expected} were expected, all categories fewer alike: late data, lost hours or an outage of the "
        "hotline, and no change of demand",
    ),
    REBOUND: (
        "{area}{day}各类诉求一致偏多,实收 {observed} 件,平常 {expected} 件:系此前数据缺失或热线中断后的补报回升,不作诉求预警",
        "{area} on {day}: {observed} tickets where {expected} are usual, all categories more alike: what was missing before comes in; "
        "no demand alert",
    ),
    DOUBLED: (
        "{area}{day}各类诉求一致为预期的 {ratio} 倍,实收 {observed} 件,预期 {expected} 件:疑似重复报送,核实前不作研判",
        "{area} on {day}: {observed} tickets where {expected} were expected, all categories {ratio} times as many alike: probably delivered twice; "
        "nothing is judged there until it is checked",
    ),
    NEW: (
        "{area}自 {day} 起有数据({observed} 件),此前无预测:疑似新设或改划区域,有预测后再作研判",
        "{area} has tickets from {day} on ({observed}) and no forecast yet: a new or redrawn area; it is judged as soon as it is forecast",
    ),
}


def data(labels: Labels, kind: str, area: str, day: date, observed: float, expected: float, parts: Sequence[str] = ()) -> tuple[str, str]:
    """Sentences (zh, en) for a fault of the data on a day; `parts` are the areas concerned, if not the area itself."""
    texts = []
    for language, form in zip(("zh", "en"), _DATA[kind], strict=True):
        names = [labels.of("area", code, language) for code in parts[:SHOWN]]
        where = labels.of("area", area, language)
        if names and language == "zh":
            where = "、".join(names) + (f"等 {len(parts)} 个区域" if len(parts) > SHOWN else "")
        elif names:
            where = ", ".join(names) + (f" and {len(parts) - SHOWN} more" if len(parts) > SHOWN else "")
        ratio = number(observed / expected) if expected > 0 else ""
        texts.append(form.format(area=where, day=f"{day:%Y-%m-%d}" if language == "en" else f" {day:%Y-%m-%d} ", observed=number(observed),
                                 expected=number(expected), ratio=ratio))  # fmt: skip
    zh, en = texts
    return f"{zh}。", f"{en[0].upper()}{en[1:]}."


def recoded(labels: Labels, area: str, onset: date, old: str, new: Sequence[str], lost: float, share: float) -> tuple[str, str]:
    """Sentences (zh, en) for tickets that are filed under other categories from a day on: so many a day, and their share of the old one."""
    zh_new, en_new = ([labels.of("category", code, language) for code in new] for language in ("zh", "en"))
    zh = (
        f"{labels.of('area', area, 'zh')}自 {onset:%Y-%m-%d} 起,“{labels.of('category', old, 'zh')}”日均减少约 {number(lost)} 件({share:.0%}),"
        f"{'、'.join(f'“{name}”' for name in zh_new)}同步等量增加:疑似分类口径调整,不作诉求预警。"
    )
    en = (
        f"{labels.of('area', area, 'en')}, from {onset:%Y-%m-%d} on: about {number(lost)} tickets a day fewer of {labels.of('category', old, 'en')} "
        f"({share:.0%}), as many more of {' and '.join(en_new)}: probably filed under other categories; no demand alert."
    )
    return zh, f"{en[0].upper()}{en[1:]}"


def channels(labels: Mapping[str, str], onset: date, moved: Mapping[str, tuple[float, float]], language: str) -> str:
    """A sentence for a moved mix of channels: channel -> its share before and since; `labels` are the channels' names."""
    form = "{} {:.0%} → {:.0%}" if language == "zh" else "{} {:.0%} to {:.0%}"
    named = [form.format(labels.get(code, code), before, since) for code, (before, since) in moved.items()]
    if language == "zh":
        return f"自 {onset:%Y-%m-%d} 起受理渠道结构变化:{'、'.join(named)};总量变化可能来自渠道,不等于诉求变化。"
    return f"The mix of channels has moved since {onset:%Y-%m-%d}: {', '.join(named)}; what changes with it need not be demand."
