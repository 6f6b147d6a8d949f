"""The city: its districts, its categories, and how the categories' mix differs between districts.

Names, codes and populations of the districts are real (census of 2020); everything else is assumed, so no number here is a statement
about a real place. Shares follow the first-level proportions that the city's hotline published for 2020.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from forecasting.city.streams import Purpose, stream

ROOT = "ALL"
UNKNOWN = "UNKNOWN"

CENTRAL_INTENSITY = 1.43  # tickets a head in the six central districts against the others: makes their share "nearly six tenths"
MIX_SPREAD = 0.18  # sd of the log of a district's own taste for a category


@dataclass(frozen=True)
class District:
    """A district: its code, labels, population, whether it is central, and the middle of its settled part (degrees)."""

    code: str
    zh: str
    en: str
    population: int
    central: bool
    lat: float
    lon: float


@dataclass(frozen=True)
class Category:
    """A second-level category.

    Attributes:
        code, zh, en: its name.
        parent: code of its first level.
        weight: share of the city's tickets, relative to the others.
        weekend: factor of a free Saturday or Sunday.
        holiday: factor of a day of a public holiday's break.
        profile: name of its hours of the day.
        limit: time in which a ticket is to be handled.
        lead, supporting: units, those supporting with `;` between.
        safety: may life be in danger?
    """

    code: str
    zh: str
    en: str
    parent: str
    weight: float
    weekend: float
    holiday: float
    profile: str
    limit: str
    lead: str
    supporting: str
    safety: bool = False


DISTRICTS = (
    District("110101", "东城区", "Dongcheng", 708829, True, 39.930, 116.416),
    District("110102", "西城区", "Xicheng", 1106214, True, 39.912, 116.366),
    District("110105", "朝阳区", "Chaoyang", 3452460, True, 39.921, 116.486),
    District("110106", "丰台区", "Fengtai", 2019764, True, 39.858, 116.287),
    District("110107", "石景山区", "Shijingshan", 567851, True, 39.906, 116.223),
    District("110108", "海淀区", "Haidian", 3133469, True, 39.960, 116.298),
    District("110109", "门头沟区", "Mentougou", 392606, False, 39.940, 116.102),
    District("110111", "房山区", "Fangshan", 1312778, False, 39.749, 116.143),
    District("110112", "通州区", "Tongzhou", 1840295, False, 39.910, 116.657),
    District("110113", "顺义区", "Shunyi", 1324044, False, 40.130, 116.655),
    District("110114", "昌平区", "Changping", 2269487, False, 40.221, 116.231),
    District("110115", "大兴区", "Daxing", 1993591, False, 39.727, 116.342),
    District("110116", "怀柔区", "Huairou", 441040, False, 40.316, 116.632),
    District("110117", "平谷区", "Pinggu", 457313, False, 40.141, 117.121),
    District("110118", "密云区", "Miyun", 527683, False, 40.376, 116.843),
    District("110119", "延庆区", "Yanqing", 345671, False, 40.457, 115.975),
)

FIRST_LEVEL = {
    "L1_SERVICES": ("公共服务", "Public services"),
    "L1_HOUSING": ("住房", "Housing"),
    "L1_TRAFFIC": ("交通管理", "Traffic"),
    "L1_BUILDING": ("城乡建设", "Building and roads"),
    "L1_ORDER": ("社会秩序", "Public order"),
    "L1_CITYCARE": ("城市管理", "City care"),
    "L1_WATER": ("水务", "Water affairs"),
    "L1_ENVIRONMENT": ("生态环境", "Environment"),
    "L1_MARKET": ("市场管理", "Market supervision"),
    "L1_LABOUR": ("劳动社保", "Labour and social security"),
    "L1_EDUCATION": ("教育", "Education"),
    "L1_HEALTH": ("医疗卫生", "Health"),
    "L1_CULTURE": ("文旅", "Culture and tourism"),
    "L1_SAFETY": ("公共安全", "Public safety"),
    "L1_TELECOM": ("通信", "Telecom and post"),
}

# code, zh, en, parent, weight, weekend, holiday, hours of the day, limit, lead unit, supporting units, safety
CATEGORIES = (
    Category("HEAT", "供热采暖", "Heating", "L1_SERVICES", 3.0, 0.95, 0.85, "HOME", "24 h", "市城市管理委", "属地街镇;供热单位"),
    Category("WATER", "供水", "Water supply", "L1_SERVICES", 2.0, 0.95, 0.9, "HOME", "24 h", "市水务局", "自来水集团;属地街镇"),
    Category("POWER", "供电", "Power supply", "L1_SERVICES", 1.6, 0.97, 0.95, "HOME", "24 h", "国网北京电力", "市城市管理委;属地街镇"),
    Category("GAS", "燃气", "Gas", "L1_SERVICES", 1.0, 0.85, 0.7, "OFFICE", "24 h", "市城市管理委", "燃气集团;属地街镇", True),
    Category("BUS", "公交地铁", "Bus and metro", "L1_SERVICES", 3.0, 0.75, 0.6, "OFFICE", "7 d", "市交通委", "公交集团;地铁公司"),
    Category("PROP", "物业管理", "Property management", "L1_HOUSING", 8.0, 0.95, 0.75, "HOME", "7 d", "市住房城乡建设委", "属地街镇;物业企业"),
    Category(
        "HOUSE",
        "房屋修缮、漏雨、质量",
        "House repair and leaks",
        "L1_HOUSING",
        4.5,
        0.85,
        0.6,
        "OFFICE",
        "7 d",
        "市住房城乡建设委",
        "属地街镇;房管中心",
    ),
    Category("ELEV", "电梯", "Lifts", "L1_HOUSING", 1.6, 0.95, 0.9, "OFFICE", "24 h", "市市场监管局", "市住房城乡建设委;物业企业", True),
    Category("PARK", "停车管理", "Parking", "L1_TRAFFIC", 7.5, 0.95, 0.8, "OFFICE", "7 d", "市交通委", "市公安局公安交通管理局;属地街镇"),
    Category(
        "ROAD",
        "道路与市政设施",
        "Roads and municipal facilities",
        "L1_BUILDING",
        3.5,
        0.85,
        0.6,
        "OFFICE",
        "7 d",
        "市城市管理委",
        "市交通委;属地街镇",
    ),
    Category("TRAF", "信号与秩序", "Signals and traffic order", "L1_TRAFFIC", 2.5, 0.8, 0.7, "OFFICE", "7 d", "市公安局公安交通管理局", "市交通委"),
    Category("EBIKE", "电动自行车", "E-bikes", "L1_ORDER", 2.5, 0.95, 0.8, "OFFICE", "7 d", "市消防救援总队", "属地街镇;物业企业", True),
    Category("NOISE_S", "社会生活噪声", "Neighbourhood noise", "L1_ORDER", 5.0, 1.2, 1.15, "NIGHT", "24 h", "市公安局", "属地街镇"),
    Category(
        "NOISE_C",
        "施工噪声扬尘",
        "Construction noise and dust",
        "L1_BUILDING",
        4.0,
        0.95,
        0.55,
        "NIGHT",
        "24 h",
        "市住房城乡建设委",
        "市城管执法局;市生态环境局",
    ),
    Category("ILLEGAL", "违法建设", "Illegal building", "L1_BUILDING", 3.5, 0.8, 0.5, "OFFICE", "15 d", "市规划自然资源委", "市城管执法局;属地街镇"),
    Category("ENV", "市容环卫", "Streets and waste", "L1_CITYCARE", 6.0, 0.95, 0.85, "OFFICE", "7 d", "市城市管理委", "环卫集团;属地街镇"),
    Category("VENDOR", "占道经营", "Street vending", "L1_CITYCARE", 2.0, 1.1, 1.0, "MEAL", "7 d", "市城管执法局", "属地街镇"),
    Category("FLOOD", "积水内涝", "Flooding", "L1_WATER", 1.5, 1.0, 1.0, "EVENT", "2-24 h", "市水务局", "市应急管理局;排水集团;属地街镇", True),
    Category("GREEN", "园林绿化", "Trees and parks", "L1_CITYCARE", 1.5, 0.9, 0.7, "OFFICE", "7 d", "市园林绿化局", "属地街镇"),
    Category(
        "AIR", "大气、油烟、异味", "Air, fumes and smells", "L1_ENVIRONMENT", 2.0, 0.95, 0.85, "MEAL", "7 d", "市生态环境局", "市城管执法局;属地街镇"
    ),
    Category(
        "CONSUM", "消费维权、预付费、网购", "Consumer rights", "L1_MARKET", 14.0, 0.95, 0.9, "OFFICE", "7 d", "市市场监管局", "市商务局;属地街镇"
    ),
    Category("FOOD", "食品安全", "Food safety", "L1_MARKET", 2.5, 0.95, 0.95, "MEAL", "7 d", "市市场监管局", "属地街镇", True),
    Category(
        "LABOR", "欠薪、社保", "Wages and social security", "L1_LABOUR", 6.5, 0.6, 0.35, "OFFICE", "15 d", "市人力社保局", "市住房城乡建设委;属地街镇"
    ),
    Category("EDU", "教育", "Education", "L1_EDUCATION", 4.5, 0.6, 0.3, "OFFICE", "7 d", "市教委", "区教委"),
    Category("HEALTH", "医疗医保", "Health care and insurance", "L1_HEALTH", 6.0, 0.7, 0.5, "OFFICE", "7 d", "市卫生健康委", "市医保局"),
    Category(
        "TOUR",
        "文旅体育、票务",
        "Tourism, sport and tickets",
        "L1_CULTURE",
        1.6,
        1.15,
        2.2,
        "OFFICE",
        "7 d",
        "市文化和旅游局",
        "市体育局;市公园管理中心",
    ),
    Category("FIRE", "消防、烟花爆竹", "Fire and fireworks", "L1_SAFETY", 0.8, 1.0, 1.1, "NIGHT", "2 h", "市消防救援总队", "市公安局;属地街镇", True),
    Category("COMM", "通信、快递", "Telecom and parcels", "L1_TELECOM", 1.5, 0.85, 0.7, "OFFICE", "7 d", "市通信管理局", "市邮政管理局"),
)

# Kinds of complaint that the hotline has never heard of before they appear, three a year.
NEW_TYPES = (
    Category("CAMPING", "公园露营扰民", "Camping in parks", "L1_CITYCARE", 0, 1, 1, "OFFICE", "7 d", "市园林绿化局", "市公园管理中心"),
    Category("CONCERT", "演唱会退票", "Concert refunds", "L1_CULTURE", 0, 1, 1, "OFFICE", "7 d", "市文化和旅游局", "市市场监管局"),
    Category("POWERBANK", "共享充电宝计费", "Power bank rental charges", "L1_MARKET", 0, 1, 1, "OFFICE", "7 d", "市市场监管局", "市交通委"),
    Category("DRONE", "无人机扰民", "Drones", "L1_ORDER", 0, 1, 1, "HOME", "24 h", "市公安局", "属地街镇"),
    Category("STREAM", "直播带货纠纷", "Live-stream shopping", "L1_MARKET", 0, 1, 1, "OFFICE", "7 d", "市市场监管局", "市网信办"),
    Category("PICKUP", "快递柜超时收费", "Parcel locker charges", "L1_TELECOM", 0, 1, 1, "OFFICE", "7 d", "市邮政管理局", "属地街镇"),
    Category("AITRAIN", "AI培训退费", "AI course refunds", "L1_EDUCATION", 0, 1, 1, "OFFICE", "7 d", "市教委", "市市场监管局"),
    Category(
        "ROBOTAXI", "无人驾驶车辆占道", "Driverless cars in the way", "L1_TRAFFIC", 0, 1, 1, "OFFICE", "7 d", "市交通委", "市公安局公安交通管理局"
    ),
    Category("BLINDBOX", "盲盒退货", "Blind box returns", "L1_MARKET", 0, 1, 1, "OFFICE", "7 d", "市市场监管局", "市商务局"),
    Category("ROBOT", "配送机器人通行", "Delivery robots", "L1_ORDER", 0, 1, 1, "OFFICE", "7 d", "市公安局", "市邮政管理局"),
    Category("SWAPCAB", "换电柜安全", "Battery swap cabinets", "L1_SAFETY", 0, 1, 1, "HOME", "24 h", "市消防救援总队", "属地街镇", True),
    Category("PETCARE", "宠物寄养纠纷", "Pet boarding", "L1_MARKET", 0, 1, 1, "OFFICE", "7 d", "市市场监管局", "市农业农村局"),
)

DISTRICT_CODES = tuple(d.code for d in DISTRICTS)
CODES = tuple(c.code for c in CATEGORIES)
NEW_CODES = tuple(c.code for c in NEW_TYPES)
ALL_CODES = CODES + NEW_CODES  # the order of the category axis of every array

# Districts that bring more of some categories: the old town, the new suburbs, the hills (which are colder as well).
TILTS = (
    (("110101", "110102"), ("HOUSE", "PARK", "TOUR"), 1.3),
    (("110112", "110114", "110115"), ("PROP", "EDU", "BUS"), 1.2),
    (("110119", "110116", "110118", "110109"), ("TOUR", "FLOOD", "ROAD"), 1.5),
    (("110119", "110116", "110118", "110109"), ("HEAT",), 1.15),
)


def shares(seed: int) -> npt.NDArray[np.float64]:
    """Share of the city's tickets that each district brings in each category, summing to 1: [districts, CATEGORIES].

    A district's share of all tickets follows its population and whether it is central; a category's follows its weight. Between these margins
    stands the mix of the seed, fitted by iterative proportional fitting (Deming and Stephan, 1940).
    """
    people = np.array([d.population * (CENTRAL_INTENSITY if d.central else 1) for d in DISTRICTS])
    weights = np.array([c.weight for c in CATEGORIES])
    people, weights = people / people.sum(), weights / weights.sum()
    mix = np.exp(stream(seed, Purpose.MIX).normal(0, MIX_SPREAD, (len(DISTRICTS), len(CATEGORIES))))
    for districts, categories, tilt in TILTS:
        mix[np.ix_([DISTRICT_CODES.index(d) for d in districts], [CODES.index(c) for c in categories])] *= tilt
    table = mix * people[:, None] * weights
    for _ in range(30):  # far beyond convergence
        table *= (people / table.sum(axis=1))[:, None]
        table *= weights / table.sum(axis=0)
    return np.asarray(table)


def area_table() -> pd.DataFrame:
    """The area tree below its root: `code, parent, level, zh, en, population`."""
    rows = [(d.code, ROOT, "district", d.zh, d.en, d.population) for d in DISTRICTS]
    return pd.DataFrame(rows, columns=["code", "parent", "level", "zh", "en", "population"])


def category_table() -> pd.DataFrame:
    """The category tree below its root: `code, parent, level, zh, en, lead_unit, supporting_units, time_limit, safety`.

    First levels (`l1`) come first, then the 28 categories, then the kinds of complaint that appear later (all `l2`).
    """
    columns = ["code", "parent", "level", "zh", "en", "lead_unit", "supporting_units", "time_limit", "safety"]
    first = [(code, ROOT, "l1", zh, en, "", "", "", False) for code, (zh, en) in FIRST_LEVEL.items()]
    second = [(c.code, c.parent, "l2", c.zh, c.en, c.lead, c.supporting, c.limit, c.safety) for c in CATEGORIES + NEW_TYPES]
    return pd.DataFrame(first + second, columns=columns)
