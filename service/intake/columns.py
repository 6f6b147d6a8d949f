"""Which column is which: the kinds of table, and the names that their columns go by.

To read a new export, add its header to `ALIASES`; a test reads one row with each of them. Only columns named here are read from a file:
names, telephone numbers and texts never enter the program.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from forecasting.errors import InputError

# Our name and, in the order in which they are taken, the headers of the Boston 311 portal and of Beijing 12345 exports.
ALIASES: dict[str, tuple[str, ...]] = {
    "ticket_id": ("case_enquiry_id", "case_id", "工单编号", "工单号", "诉求编号", "受理编号"),
    "created_at": ("open_dt", "open_date", "来电时间", "创建时间"),
    "received_at": ("接收时间",),
    "updated_at": ("更新时间",),
    "closed_at": ("closed_dt", "close_date", "办结时间"),
    "status": ("case_status", "工单状态"),
    "district": ("neighborhood", "被反映区", "区县", "所在区"),
    "street": ("被反映街乡镇", "街乡镇", "街道乡镇"),
    "category": ("type", "case_topic", "问题分类", "问题类别", "事项分类", "诉求分类"),
    "category_l1": ("subject",),  # the first level, where `category` names only the second
    "path_1": ("一级分类",),
    "path_2": ("二级分类",),
    "path_3": ("三级分类",),
    "source": (),
    "lat": ("latitude", "纬度"),
    "lon": ("longitude", "经度"),
    "date": ("日期",),
    "count": ("数量", "件数"),
    "hour": ("小时",),
    "name": (),
    "value": (),
    "issued_at": (),
    "code": (),
    "parent": (),
    "level": (),
    "zh": (),
    "en": (),
    "population": (),
    "lead_unit": (),
    "supporting_units": (),
    "time_limit": (),
    "safety": (),
}

_PATH = ("path_1", "path_2", "path_3")


@dataclass(frozen=True)
class Kind:
    """A kind of table: what it needs (of each group one column) and what it may have besides."""

    name: str
    needs: tuple[tuple[str, ...], ...]
    may: tuple[str, ...] = ()


# The first that fits counts. The trees share their columns and are told apart by the levels they name.
KINDS = (
    Kind(
        "tickets",
        (("ticket_id",), ("created_at",), ("district", "street"), ("category", "path_1")),
        ("received_at", "updated_at", "closed_at", "status", "category_l1", "path_2", "path_3", "source", "lat", "lon"),
    ),
    Kind("counts", (("district",), ("category",), ("date",), ("count",)), ("street", "hour")),
    Kind("drivers", (("name",), ("date",), ("value",)), ("district", "issued_at")),
    Kind("areas", (("code",), ("parent",), ("level",), ("zh",), ("en",)), ("population", "lead_unit", "supporting_units", "time_limit", "safety")),
)


@dataclass(frozen=True)
class Layout:
    """A recognised table: its kind, and for each of our names the position of the column that carries it."""

    kind: str
    positions: dict[str, int]


def find(headers: Sequence[str]) -> dict[str, int]:
    """For each of our names the position of the first header that stands for it."""
    places = {_plain(header): place for place, header in reversed(list(enumerate(headers)))}
    found = {ours: next((places[name] for name in (ours, *others) if name in places), None) for ours, others in ALIASES.items()}
    return {ours: place for ours, place in found.items() if place is not None}


def recognise(headers: Sequence[str], where: str) -> Layout:
    """Tells from a file's headers what table it is.

    Raises:
        InputError: no kind of table has these columns; names the column that is missing from the nearest kind.
    """
    found = find(headers)
    missing = {kind: [group[0] for group in kind.needs if not found.keys() & set(group)] for kind in KINDS}
    for kind, lacks in missing.items():
        if not lacks:
            names = [*(name for group in kind.needs for name in group), *kind.may]
            return Layout(kind.name, {name: found[name] for name in names if name in found})
    nearest = max(missing, key=lambda kind: (len(kind.needs) - len(missing[kind])) / len(kind.needs))
    kinds = "; ".join(f"{kind.name}: {', '.join('/'.join(group) for group in kind.needs)}" for kind in KINDS)
    if len(missing[nearest]) == len(nearest.needs):
        raise InputError("no column of it is known", where, f"the first row names the columns ({kinds})")
    raise InputError(f"no column '{missing[nearest][0]}'", where, f"a table of {nearest.name} needs {_listed(nearest)}")


def path_columns(positions: dict[str, int]) -> list[str]:
    """The columns that name a category level by level, outermost first."""
    return [name for name in _PATH if name in positions]


def named_in(reason: str) -> str:
    """Our name of the column that the reason of a reject names; empty if it names none."""
    return next((word for word in reason.split() if word in ALIASES), "")


def _listed(kind: Kind) -> str:
    return ", ".join(" or ".join(group) for group in kind.needs)


def _plain(header: str) -> str:
    return header.strip().lstrip("\ufeff").lower().replace(" ", "_")
