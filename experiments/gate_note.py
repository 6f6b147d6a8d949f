"""What the gate says to people: a note on the data, with the check that failed and by how much."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from forecasting.detection.finding import DATA, Finding
from forecasting.hierarchy import ALL

NAMES = {
    "complete": ("缺失或错误的预测数", "forecasts that are missing or wrong"),
    "coherent": ("总数与分项之差(件)", "tickets by which sums miss their parts"),
    "totals": ("未来四周总量与近四周之比", "times as many (or as few) tickets as in the last four weeks"),
    "WRMSSE champion": ("WRMSSE 比现用模型高", "WRMSSE above that of the recipe served"),
    "WQL champion": ("分位数损失比现用模型高", "quantile loss above that of the recipe served"),
    "WRMSSE baselines": ("WRMSSE 比基准高", "WRMSSE above that of the better baseline"),
    "WQL baselines": ("分位数损失比基准高", "quantile loss above that of the better baseline"),
    "coverage 80": ("80% 区间覆盖率", "coverage of the 80 % interval"),
    "coverage 90": ("90% 区间覆盖率", "coverage of the 90 % interval"),
    "alerts": ("预警数为预算的倍数", "alerts, in budgets"),
}
"""Every check, as it is called in Chinese and in English."""

SHARES = ("WRMSSE", "WQL", "coverage")
PLACES = {"city": ("全市", "city"), "category": ("类别", "categories"), "district": ("区", "districts"), "series": ("区×类别", "series")}


def failed(checks: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """The checks that do not hold, in words (zh, en), with what was measured and the limit."""
    zh, en = [], []
    for check in checks:
        if check["passed"]:
            continue
        name_zh, name_en = NAMES[check["name"]]
        where_zh, where_en = PLACES.get(check["where"], ("", ""))
        measured, limit = (number(check["name"], check[key]) for key in ("measured", "limit"))
        least = check["at_least"]
        zh.append(f"{name_zh} {measured}({where_zh + ',' if where_zh else ''}限值{'不低于' if least else '不高于'} {limit})")
        en.append(f"{name_en}: {measured}{f' ({where_en})' if where_en else ''}, allowed {'at least' if least else 'at most'} {limit}")
    return ";".join(zh), "; ".join(en)


def note(day: date, checks: Sequence[Mapping[str, Any]], instead: date | None) -> Finding:
    """The note on a night whose forecasts did not pass.

    Args:
        day: the cutoff of what was refused.
        checks: as `gate.Check.told` has them.
        instead: the cutoff of what is served in their place; the same day: the recipe that served before was refitted; None: they are served.
    """
    zh, en = failed(checks)
    if instead is None:
        served_zh, served_en = "仍予发布", "they are served all the same, for older ones would be worse"
    elif instead == day:
        served_zh, served_en = (
            "原有模型已用最新数据重新训练,继续提供预测",
            "the recipe that served before, fitted to the newest data, goes on serving",
        )
    else:
        served_zh, served_en = f"继续使用截至 {instead} 的预测", f"the forecasts known until {instead} go on being served"
    return Finding(
        DATA, "blue" if instead in (day, None) else "yellow", ALL, ALL, (), day, day, day, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0,
        f"截至 {day} 的新预测未通过上线检查:{zh};{served_zh}。",
        f"The new forecasts known until {day} {'did not pass' if instead is None else 'were not let in'}: {en}; {served_en}.",
    )  # fmt: skip


def number(name: str, value: float | None) -> str:
    """A figure of a check, as people read it; a question mark where nothing could be measured."""
    if value is None:
        return "?"
    return f"{value:.1%}" if name.startswith(SHARES) else f"{value:.3g}"
