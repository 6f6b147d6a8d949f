"""The two trees as the API sees them: what a parameter may name, what lies below it, and what a caller may see."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Generic, TypeVar

import pandas as pd
from sqlalchemy import Connection

from forecasting.errors import InputError
from service.api.errors import Problem
from service.store import areas, categories
from service.store.bulk import objects
from service.store.keys import Caller

ALL = "ALL"


@dataclass(frozen=True)
class Node:
    """A node of a tree, with its labels."""

    code: str
    parent: str
    level: str
    zh: str
    en: str


@dataclass(frozen=True)
class Area(Node):
    """A district or street."""

    population: int | None


@dataclass(frozen=True)
class Category(Node):
    """A category, with the units in charge of it."""

    lead_unit: str | None
    supporting_units: str | None
    time_limit: str | None
    safety: bool


N = TypeVar("N", bound=Node)


@dataclass(frozen=True)
class Nodes(Generic[N]):
    """One tree.

    Attributes:
        noun: what a node is called in a message ("area", "category").
        path: where the API lists them.
        by_code: every node but the root `ALL`.
    """

    noun: str
    path: str
    by_code: Mapping[str, N]

    @cached_property
    def _children(self) -> dict[str, list[str]]:
        children: dict[str, list[str]] = {}
        for node in self.by_code.values():
            children.setdefault(node.parent, []).append(node.code)
        return children

    @cached_property
    def leaves(self) -> frozenset[str]:
        """Codes of the nodes with nothing below them."""
        return frozenset(code for code in self.by_code if code not in self._children)

    def at(self, level: str) -> frozenset[str]:
        """Codes of the nodes of a level."""
        return frozenset(node.code for node in self.by_code.values() if node.level == level)

    def nodes(self, codes: Iterable[str]) -> list[N]:
        """The nodes of these codes, by code."""
        return [self.by_code[code] for code in sorted(codes)]

    def under(self, codes: Iterable[str]) -> frozenset[str]:
        """These nodes and everything below them."""
        found: set[str] = set()
        waiting = list(codes)
        while waiting:
            code = waiting.pop()
            if code not in found:
                found.add(code)
                waiting += self._children.get(code, ())
        return frozenset(found)

    def known(self, codes: Iterable[str], where: str) -> frozenset[str]:
        """These codes. Raises InputError, naming the parameter `where`, if the tree lacks one of them."""
        wanted = frozenset(codes)
        for code in sorted(wanted):
            if code != ALL and code not in self.by_code:
                raise InputError(f"there is no {self.noun} '{code[:80]}'", where, f"see {self.path} for the codes")
        return wanted

    def label(self, code: str) -> tuple[str, str]:
        """The labels (zh, en) of a node; its code if the tree does not know it."""
        node = self.by_code.get(code)
        if node is not None:
            return node.zh, node.en
        return ("全部", "all") if code == ALL else (code, code)


def area_tree(conn: Connection) -> Nodes[Area]:
    """The area tree as stored."""
    return Nodes("area", "/v1/districts", _read(areas.frame(conn), Area))


def category_tree(conn: Connection) -> Nodes[Category]:
    """The category tree as stored."""
    return Nodes("category", "/v1/categories", _read(categories.frame(conn), Category))


def _read(frame: pd.DataFrame, kind: type[N]) -> dict[str, N]:
    rows = zip(*(objects(frame[field.name]) for field in fields(kind)), strict=True)
    return {row[0]: kind(*row) for row in rows}


def visible(tree: Nodes[Any], caller: Caller) -> frozenset[str] | None:
    """Codes of the areas that a caller may see: its districts and their streets; None: all."""
    return None if caller.districts is None else tree.under(caller.districts)


def allowed(tree: Nodes[Any], caller: Caller, codes: Iterable[str], where: str) -> None:
    """Raises Problem 403 if one of these areas lies outside of the districts that the caller's key is limited to."""
    own = visible(tree, caller)
    for code in sorted(codes):
        if own is not None and code not in own:
            limit = ", ".join(sorted(caller.districts or ()))
            raise Problem(403, f"your key is limited to {limit}; area '{code[:80]}' lies outside", where=where, mend="ask for these districts")
