"""Areas and categories as the API tells them. Names, types and units are a promise: later versions only add."""

from pydantic import Field

from service.api.schemas import NEXT, Model


class Street(Model):
    """A street (街乡镇) of a district."""

    street: str = Field(description="Code of the street.", examples=["110105012"])
    zh: str = Field(examples=["望京街道"])
    en: str = Field(examples=["Wangjing"])


class District(Model):
    """A district (区)."""

    district: str = Field(description="Code of the district; `UNKNOWN` collects tickets that name none.", examples=["110105"])
    zh: str = Field(description="Chinese label.", examples=["朝阳区"])
    en: str = Field(description="English label.", examples=["Chaoyang"])
    population: int | None = Field(None, description="Inhabitants, if known.", examples=[3452460])
    streets: list[Street] = Field(description="The streets below it, by code.")


class DistrictList(Model):
    """Districts, by code."""

    items: list[District]
    next: str | None = NEXT


class Category(Model):
    """A node of the category tree (问题分类)."""

    category: str = Field(description="Code of the category.", examples=["HEAT"])
    parent: str = Field(description="Code of the node above it; `ALL` is the root.", examples=["ALL"])
    level: str = Field(description="Level in the tree: `all`, `l1`, `l2` …", examples=["l2"])
    leaf: bool = Field(description="Whether nothing is below it.")
    zh: str = Field(examples=["供热采暖"])
    en: str = Field(examples=["Heating"])
    lead_unit: str | None = Field(None, description="Unit that takes the lead (主办单位).", examples=["市城市管理委"])
    supporting_units: str | None = Field(None, description="Units that support it (协办单位).")
    time_limit: str | None = Field(None, description="Time limit for handling a ticket (办理时限).", examples=["24 h"])
    safety: bool = Field(description="Whether lives may be at stake; raises the level of alerts.")


class CategoryList(Model):
    """Categories, by code; the root is left out."""

    items: list[Category]
    next: str | None = NEXT


class ConcernedDistrict(Model):
    """A district that an alert concerns."""

    district: str = Field(description="Code of the district.", examples=["110108"])
    observed: float | None = Field(None, description="Tickets a day, as in the alert.", examples=[61])
    expected: float = Field(description="Tickets a day expected, as in the alert.", examples=[22.5])


class Label(Model):
    """A label in both languages."""

    zh: str = Field(examples=["海淀区"])
    en: str = Field(examples=["Haidian"])


class Labels(Model):
    """Labels of an alert's node."""

    area: Label
    category: Label
