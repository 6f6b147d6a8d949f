"""Which column is which: the kinds of table, and the headers that exports give to their columns.

To read another header, add it to its export in `EXPORTS`; a test reads one row with each of them. Only columns named here, or by a mapping
file, are read: names, addresses and whatever else a file holds never enter the program.
"""

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from forecasting.errors import InputError

Headers = Mapping[str, tuple[str, ...]]  # our name of a column -> headers that stand for it, the most telling first


@dataclass(frozen=True)
class Export:
    """How one kind of system names its columns.

    Attributes:
        name: as reports and documentation show it.
        columns: its headers; our own names are understood everywhere.
        may_lack: columns that a table of tickets otherwise needs, and this one need not have.
    """

    name: str
    columns: Headers
    may_lack: frozenset[str] = frozenset()


# An export is recognised by its header of the ticket's id. Headers are compared in lower case, with '_' for blanks.
EXPORTS = (
    Export(
        "12345 hotline",
        {
            "ticket_id": ("工单编号", "工单号", "诉求编号", "受理编号"),
            "created_at": ("来电时间", "创建时间", "受理时间", "诉求时间", "登记时间"),
            "received_at": ("接收时间",),
            "updated_at": ("更新时间", "最后更新时间"),
            "closed_at": ("办结时间", "结案时间"),
            "status": ("工单状态", "办理状态"),
            "ticket_type": ("工单类型", "诉求类型"),
            "district": ("被反映区", "区县", "所在区", "被反映区县", "所属区", "行政区", "区"),
            "street": ("被反映街乡镇", "街乡镇", "街道乡镇", "所属街道", "街道"),
            "category": ("问题分类", "问题类别", "事项分类", "诉求分类"),
            "path_1": ("一级分类", "一级类别", "一级问题分类"),
            "path_2": ("二级分类", "二级类别", "二级问题分类"),
            "path_3": ("三级分类", "三级类别", "三级问题分类"),
            "lat": ("纬度",),
            "lon": ("经度",),
            "caller": ("来电人电话/账号", "来电人电话", "来电号码", "来电电话", "联系电话", "诉求人电话"),
            "caller_name": ("来电人", "来电人姓名", "诉求人", "诉求人姓名", "反映人", "联系人"),
            "title": ("标题", "工单标题"),
            "text": ("主要内容", "诉求内容", "工单内容"),
            "closure_text": ("回复内容", "办理结果"),
        },
    ),
    Export(
        "数字城管 (digital city management)",
        {
            "ticket_id": ("rec_id",),
            "created_at": ("create_time",),
            "closed_at": ("archive_time",),
            "status": ("rec_status_name",),
            "district": ("district_name",),
            "street": ("street_name",),
            "path_1": ("event_type_name",),
            "path_2": ("main_type_name",),
            "path_3": ("sub_type_name",),
            "lat": ("coordinate_y",),
            "lon": ("coordinate_x",),
            "text": ("event_desc",),
        },
    ),
    Export(
        "NYC 311",
        {
            "ticket_id": ("unique_key",),
            "created_at": ("created_date",),
            "updated_at": ("resolution_action_updated_date",),
            "closed_at": ("closed_date",),
            "district": ("borough",),
            "street": ("community_board",),
            "path_1": ("complaint_type", "problem_(formerly_complaint_type)", "problem"),
            "path_2": ("descriptor", "problem_detail_(formerly_descriptor)", "problem_detail"),
            "lat": ("latitude",),
            "lon": ("longitude",),
            "closure_text": ("resolution_description",),
        },
    ),
    Export(
        "Boston 311",
        {
            "ticket_id": ("case_enquiry_id", "case_id"),
            "created_at": ("open_dt", "open_date"),
            "closed_at": ("closed_dt", "close_date"),
            "status": ("case_status",),
            "district": ("neighborhood",),
            "category": ("type", "case_topic"),
            "category_l1": ("subject", "assigned_department"),
            "lat": ("latitude",),
            "lon": ("longitude",),
            "title": ("case_title", "service_name"),
            "closure_text": ("closure_reason", "closure_comments"),
        },
    ),
    Export(
        "Chicago 311",
        {
            "ticket_id": ("sr_number",),
            "created_at": ("created_date",),
            "updated_at": ("last_modified_date",),
            "closed_at": ("closed_date",),
            "district": ("community_area",),
            "category": ("sr_type",),
            "category_l1": ("owner_department",),
            "ticket_type": ("sr_type",),  # calls for information stand among the types
            "lat": ("latitude",),
            "lon": ("longitude",),
        },
    ),
    Export(
        "Chicago 311 until 2018 (one file a type)",
        {
            "ticket_id": ("service_request_number",),
            "created_at": ("creation_date",),
            "closed_at": ("completion_date",),
            "district": ("community_area",),
            "path_1": ("type_of_service_request", "service_request_type"),
            "path_2": ("what_is_the_nature_of_this_code_violation?",),
            "lat": ("latitude",),
            "lon": ("longitude",),
        },
    ),
    Export(
        "Open311 (GeoReport v2)",
        {
            "ticket_id": ("service_request_id",),
            "created_at": ("requested_datetime",),
            "updated_at": ("updated_datetime",),
            "district": ("zone", "neighborhood", "extended_attributes.zone", "extended_attributes.ward", "zipcode"),
            "category": ("service_name", "service_code"),
            "category_l1": ("group", "agency_responsible"),
            "lat": ("lat",),
            "lon": ("long",),
            "caller": ("phone", "account_id"),
            "caller_name": ("last_name",),
            "text": ("description",),
            "closure_text": ("status_notes",),
        },
        may_lack=frozenset({"district", "street"}),  # an address alone names no district
    ),
)

# What other tables and our own may say besides their own names.
_OTHERS: Headers = {
    "date": ("日期", "统计日期"),
    "count": ("数量", "件数", "工单量", "诉求量"),
    "hour": ("小时", "时段"),
}
OWN = (
    *("ticket_id", "created_at", "received_at", "updated_at", "closed_at", "status", "ticket_type", "district", "street"),
    *("category", "category_l1", "path_1", "path_2", "path_3", "source", "lat", "lon", "caller", "caller_name", "title", "text", "closure_text"),
    *("date", "count", "hour", "name", "value", "issued_at"),
    *("code", "parent", "level", "zh", "en", "population", "lead_unit", "supporting_units", "time_limit", "safety"),
    *("old", "new", "valid_from", "share", "start", "end", "area", "reason"),
)
# Every header by our name: for tables that are no export of a known system, and for counts with the headers of one.
ALIASES: dict[str, tuple[str, ...]] = {
    ours: tuple(dict.fromkeys(header for headers in (*(export.columns for export in EXPORTS), _OTHERS) for header in headers.get(ours, ())))
    for ours in OWN
}
_ANY = Export("", ALIASES | {"ticket_type": EXPORTS[0].columns["ticket_type"], "title": EXPORTS[0].columns["title"]})

LONGEST = 200  # characters of a name or code: four bytes each, it still fits twice into an index of every database
SHORT = frozenset({"ticket_id", "source", "status", "district", "street", "category", "category_l1", "path_1", "path_2", "path_3", "name"})
_PATH = ("path_1", "path_2", "path_3")
MAY_BE_CONSTANT = ("source", "district", "street", "category", "category_l1", "status", "ticket_type", "name")


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
        (
            *("received_at", "updated_at", "closed_at", "status", "ticket_type", "category_l1", "path_2", "path_3", "source", "lat", "lon"),
            *("caller", "caller_name", "title", "text", "closure_text"),
        ),
    ),
    Kind("counts", (("district",), ("category", "path_1"), ("date",), ("count",)), ("street", "hour", "category_l1", "path_2", "path_3")),
    Kind("drivers", (("name",), ("date",), ("value",)), ("district", "issued_at")),
    Kind("areas", (("code",), ("parent",), ("level",), ("zh",), ("en",)), ("population", "lead_unit", "supporting_units", "time_limit", "safety")),
    Kind("category_map", (("old",), ("new",), ("valid_from",)), ("share",)),
    Kind("excluded_spans", (("start",), ("end",)), ("area", "district", "category", "reason")),
)


@dataclass(frozen=True)
class Layout:
    """A recognised table.

    Attributes:
        kind: of which kind it is.
        positions: for each of our names the position of the column that carries it.
        constants: for each of our names that no column carries, the value of all rows.
        export: the system it comes from; empty if its headers are those of none.
    """

    kind: str
    positions: dict[str, int]
    constants: dict[str, str] = field(default_factory=dict)
    export: str = ""


def find(headers: Sequence[str], mapped: Headers | None = None) -> dict[str, int]:
    """For each of our names the position of the first header that stands for it."""
    return _find(_export(headers), headers, mapped or {})


def recognise(
    headers: Sequence[str],
    where: str,
    mapped: Headers | None = None,
    constants: Mapping[str, str] | None = None,
    unread: Collection[str] = (),
) -> Layout:
    """Tells from a file's headers what table it is.

    Args:
        mapped: headers by our names from a mapping file; they go before all others.
        constants: values of all rows by our names.
        unread: our names of columns that are not to be read.
    Raises:
        InputError: no kind of table has these columns (names the one that is missing from the nearest kind), or a column that is needed
            stands there twice.
    """
    mapped, constants = mapped or {}, dict(constants or {})
    export = _export(headers)
    found = {ours: place for ours, place in _find(export, headers, mapped).items() if ours not in constants}
    for ours, wanted in mapped.items():
        if ours not in found:
            raise InputError(f"no column '{wanted[0]}', which the mapping takes for {ours}", where, f"it has {_some(headers)}")
    there = found.keys() | constants.keys()
    missing = {kind: [group[0] for group in kind.needs if not there & set(group) and not set(group) <= export.may_lack] for kind in KINDS}
    for kind, lacks in missing.items():
        if not lacks:
            names = [*(name for group in kind.needs for name in group), *kind.may]
            positions = {name: found[name] for name in names if name in found and name not in unread}
            _refuse_twice(headers, positions, where)
            return Layout(kind.name, positions, {name: constants[name] for name in names if name in constants}, export.name)
    nearest = max(missing, key=lambda kind: (len(kind.needs) - len(missing[kind])) / len(kind.needs))
    kinds = "; ".join(f"{kind.name}: {', '.join('/'.join(group) for group in kind.needs)}" for kind in KINDS)
    if len(missing[nearest]) == len(nearest.needs):
        raise InputError("no column of it is known", where, f"the first row names the columns ({kinds}), or a mapping file does (docs/files.md)")
    mend = f"a table of {nearest.name} needs {_listed(nearest)}; a mapping file may name them (docs/files.md)"
    raise InputError(f"no column '{missing[nearest][0]}'", where, mend)


def path_columns(positions: Collection[str]) -> list[str]:
    """The columns that name a category level by level, outermost first."""
    return [name for name in _PATH if name in positions]


def named_in(reason: str) -> str:
    """Our name of the column that the reason of a reject names; empty if it names none."""
    return next((word for word in reason.split() if word in ALIASES), "")


def plain(header: str) -> str:
    """A header as it is compared: lower case, '_' for blanks, narrow signs, without a byte order mark or the star of a required column."""
    narrow = unicodedata.normalize("NFKC", header.replace("\ufeff", "")).strip().strip("*").strip()
    return re.sub(r"\s+", "_", narrow.lower())


def _export(headers: Sequence[str]) -> Export:
    names = {plain(header) for header in headers}
    marked = [export for export in EXPORTS if names & set(export.columns["ticket_id"])]
    return max(marked, key=lambda export: len(_find(export, headers, {})), default=_ANY)


def _find(export: Export, headers: Sequence[str], mapped: Headers) -> dict[str, int]:
    places = {plain(header): place for place, header in reversed(list(enumerate(headers)))}
    found: dict[str, int] = {}
    for ours in OWN:
        wanted = mapped[ours] if ours in mapped else (ours, *export.columns.get(ours, ()))
        place = next((places[plain(name)] for name in wanted if plain(name) in places), None)
        if place is not None:
            found[ours] = place
    return found


def _refuse_twice(headers: Sequence[str], positions: Mapping[str, int], where: str) -> None:
    names = [plain(header) for header in headers]
    twice = next((headers[place].strip() for place in positions.values() if names.count(names[place]) > 1), None)
    if twice is not None:
        raise InputError(f"two columns are named '{twice}'", where, "rename the one that is not meant")


def _listed(kind: Kind) -> str:
    return ", ".join(" or ".join(group) for group in kind.needs)


def _some(headers: Sequence[str]) -> str:
    named = [header.strip() for header in headers if header.strip()]
    return ", ".join(named[:12]) + (", …" if len(named) > 12 else "")
