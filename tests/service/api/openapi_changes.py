"""What a client written for one OpenAPI document would miss or trip over in a later one."""

from collections.abc import Iterator, Mapping
from typing import Any

Document = Mapping[str, Any]

_LOWER, _UPPER = ("minimum", "exclusiveMinimum", "minLength", "minItems"), ("maximum", "exclusiveMaximum", "maxLength", "maxItems")


def breaking(old: Document, new: Document) -> list[str]:
    """Every change that is more than an addition, one sentence each.

    A request may become freer: parameters may be added unless they are needed, values may be added. An answer may say more: members may be
    added, of one form; a value may not become of another type, a member that was always there not be missing or null.
    """
    found: list[str] = []
    for path, item in old["paths"].items():
        for method, operation in item.items():
            name = f"{method.upper()} {path}"
            now = new["paths"].get(path, {}).get(method)
            if now is None:
                found.append(f"{name} is gone")
                continue
            found += [f"{name}: {change}" for change in _operation(old, new, operation, now)]
    return found


def _operation(old: Document, new: Document, before: Document, now: Document) -> Iterator[str]:
    if before["operationId"] != now["operationId"]:
        yield f"its operationId is no longer {before['operationId']}"
    given, taken = ({(p["in"], p["name"]): p for p in operation.get("parameters", [])} for operation in (before, now))
    for key, parameter in given.items():
        if key not in taken:
            yield f"the parameter {key[1]} is gone"
        else:
            if taken[key].get("required") and not parameter.get("required"):
                yield f"the parameter {key[1]} is needed now"
            yield from _request(old, new, parameter["schema"], taken[key]["schema"], f"the parameter {key[1]}")
    yield from (f"the parameter {key[1]} is new and needed" for key, one in taken.items() if key not in given and one.get("required"))
    for form, content in before.get("requestBody", {}).get("content", {}).items():
        now_content = now.get("requestBody", {}).get("content", {})
        if form not in now_content:
            yield f"a body of {form} is no longer taken"
        else:
            yield from _request(old, new, content["schema"], now_content[form]["schema"], "the body")
    for status, answer in before["responses"].items():
        if status not in now["responses"]:
            yield f"the answer {status} is gone"
            continue
        for form, content in answer.get("content", {}).items():
            now_content = now["responses"][status].get("content", {})
            if form not in now_content:
                yield f"the answer {status} no longer comes as {form}"
            else:
                yield from _answer(old, new, content["schema"], now_content[form]["schema"], f"the answer {status}", ())


def _request(old: Document, new: Document, before: Document, now: Document, where: str, seen: tuple[str, ...] = ()) -> Iterator[str]:
    """What a request may no longer say."""
    if before.get("$ref") in seen:
        return
    seen += (before["$ref"],) if "$ref" in before else ()
    before, now = _followed(old, before), _followed(new, now)
    gone = _types(old, before) - _types(new, now)
    if gone and "any" not in _types(new, now):
        yield f"{where} may no longer be {', '.join(sorted(gone))}"
    for name in _LOWER:
        if name in now and now[name] > before.get(name, float("-inf")):
            yield f"{where}: {name} is {now[name]} now"
    for name in _UPPER:
        if name in now and now[name] < before.get(name, float("inf")):
            yield f"{where}: {name} is {now[name]} now"
    if "pattern" in now and now["pattern"] != before.get("pattern"):
        yield f"{where} has another pattern now"
    if "items" in before and "items" in now:
        yield from _request(old, new, before["items"], now["items"], where, seen)
    members = now.get("properties", {})
    for name, member in before.get("properties", {}).items():
        if name in members:
            yield from _request(old, new, member, members[name], f"{where}.{name}", seen)
        elif now.get("additionalProperties") is False:
            yield f"{where}.{name} is no longer taken"
    if "properties" in before:
        yield from (f"{where}.{name} is needed now" for name in sorted(set(now.get("required", [])) - set(before.get("required", []))))


def _answer(old: Document, new: Document, before: Document, now: Document, where: str, seen: tuple[str, ...]) -> Iterator[str]:
    """What an answer no longer says, or says in another form. Words of a list that only ever grows (statuses, kinds) may be added."""
    if before.get("$ref") in seen:
        return
    seen += (before["$ref"],) if "$ref" in before else ()
    before, now = _followed(old, before), _followed(new, now)
    added = {kind for kind in _types(new, now) - _types(old, before) if not kind.startswith("'")}
    if added and "any" not in _types(old, before):
        yield f"{where} may be {', '.join(sorted(added))} now"
    if "items" in before and "items" in now:
        yield from _answer(old, new, before["items"], now["items"], f"{where}[]", seen)
    members = now.get("properties", {})
    for name, member in before.get("properties", {}).items():
        if name not in members:
            yield f"{where}.{name} is gone"
        else:
            yield from _answer(old, new, member, members[name], f"{where}.{name}", seen)
    if "properties" in now:
        yield from (
            f"{where}.{name} may be missing now" for name in sorted(set(before.get("required", [])) - set(now.get("required", []))) if name in members
        )
    parts, now_parts = (_parts(document, schema) for document, schema in ((old, before), (new, now)))
    if len(parts) > 1 and len(parts) <= len(now_parts):
        for part, now_part in zip(parts, now_parts, strict=False):
            yield from _answer(old, new, part, now_part, where, seen)


def _followed(document: Document, schema: Document) -> Document:
    """A schema behind its reference; of one that may be null, what else it may be."""
    while "$ref" in schema or len(schema.get("allOf", ())) == 1:
        schema = document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema["allOf"][0]
    return schema


def _parts(document: Document, schema: Document) -> list[Document]:
    return [part for part in schema.get("anyOf", schema.get("oneOf", [])) if _followed(document, part).get("type") != "null"]


def _types(document: Document, schema: Document) -> set[str]:
    """What a value may be: types, and the words of an enumeration in quotes."""
    schema = _followed(document, schema)
    if "anyOf" in schema or "oneOf" in schema:
        return set().union(*(_types(document, part) for part in schema.get("anyOf", schema.get("oneOf"))))
    if "enum" in schema or "const" in schema:
        return {f"'{value}'" for value in schema.get("enum", [schema.get("const")])}
    kind = schema.get("type", "any")
    return {f"array of {one}" for one in _types(document, schema.get("items", {}))} if kind == "array" else {str(kind)}
