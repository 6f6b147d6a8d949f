"""Prints docs/api.md: every path with its scope, parameters and errors. Run it when a path changes: python scripts/api.py > docs/api.md"""

from collections.abc import Iterator
from typing import Any

from openapi import document  # beside this file

from service.api.callers import rates, sessions
from service.api.errors import KINDS
from service.store import keys, page_tokens

HEAD = f"""# The HTTP API

Made by `scripts/api.py` from the program. A running service has the same as a page that can be tried out (`/docs`) and as an OpenAPI document
(`/openapi.json`); the document of the last release is [openapi.json](openapi.json). Later versions of `/v1` only add.

```sh
weisu keys create --name 'planning office' --scope forecasts:read
curl -H 'Authorization: Bearer weisu_…' 'http://127.0.0.1:8000/v1/forecasts?area=110108&category=HEAT'
```

## Who may do what

Every path below `/v1` needs a key, a token of an identity provider, or the session of the page.

**Keys** are shown once, when `weisu keys create` makes them, and stored as keyed hashes. A key has scopes, may be limited to districts
(`--district`) and may end (`--expires-in 365d`). `weisu keys rotate ID --overlap 7d` makes a new one with the same name, scopes and districts;
both are valid for these days. `weisu keys list` tells when each was last used, to the minute; `weisu keys revoke ID` ends one at once.

| scope | what it opens |
|---|---|
{{scopes}}

A key limited to districts sees these, their streets, and the city-wide alerts that concern one of them; it changes nothing outside of them, and
whoever asks for another area gets 403.

**Tokens of an identity provider** (OpenID Connect, JWT) are taken where `WEISU_OIDC_ISSUER` and `WEISU_OIDC_AUDIENCE` are set. They are signed
with RSA, ECDSA or EdDSA by a key that the provider publishes, and have `iss`, `aud`, `exp`, `iat` and `sub`. `WEISU_OIDC_SCOPE_CLAIM` names the claim
with our scopes, or with names that `WEISU_OIDC_SCOPES` maps to them; `WEISU_OIDC_DISTRICTS_CLAIM` the one with the districts: if it is set, a token
without it sees nothing.

**The page**: where the API listens on this machine alone, `weisu up`, `weisu demo` and `weisu keys page` print an address with a token, good for
once and {page_tokens.LIFETIME.seconds // 3600} hour. A browser that opens it gets a cookie, for {sessions.LIFETIME // 3600} hours,
with {", ".join(sorted(sessions.SCOPES))}, and the [operation's page](operations.md#the-page) at `/`. With the cookie, a change needs an `Origin`
header that names this very address. A key opens the page as well, and shows what it may see: a proxy that signs people in can send it along.

## Limits

| what | setting | else |
|---|---|---|
| requests of a key, in a minute and of one API process | `WEISU_REQUESTS_PER_MINUTE`; a file counts as {rates.FILE_COST} | 429 |
| requests of an address without a valid key, in a minute | `WEISU_FAILURES_PER_MINUTE`; of all together {rates.ALL_ADDRESSES} times as many | 429 |
| body of tickets | `WEISU_INTAKE_BODY_MB` | 413 |
| any other body | `WEISU_BODY_KB`, less where a path needs less | 413 |
| rows of a page (`limit`) | `WEISU_MOST_ROWS` | 422 |
| days from `from` to `to` | `WEISU_MOST_DAYS` | 422 |
| seconds without an answer, or without more of a body | `WEISU_REQUEST_SECONDS` | 503, 408 |
| seconds in which nobody reads a part of an answer: a page, or some 20,000 rows of a file | `WEISU_REQUEST_SECONDS` | the connection ends |

A file is CSV, NDJSON, Parquet or Arrow. Defaults stand in [settings](settings.md). Every answer below `/v1` says what is left:
`RateLimit-Policy: "key";q=6000;w=60` and `RateLimit: "key";r=5999;t=60` (requests left, seconds until the oldest of the minute no longer counts);
429 says in `Retry-After` when to go on.

## Errors

Every error is a problem document (RFC 9457, `application/problem+json`): `type`, `title`, `status`, `detail` (what is wrong this time), `where`
(parameter, header or part of the body), `mend` (what to do about it), `instance` (the path) and `request_id`. Every answer has an
`X-Request-Id`: the one that was sent, if it is 1 to 128 letters, digits and `._:/+=-`, else one made here; log lines carry it as well.

| status | `type` | when |
|---|---|---|
{{errors}}
"""

SCOPES = {
    "forecasts:read": "districts, categories, counts, forecasts, accuracy",
    "alerts:read": "alerts and what they rest on",
    "alerts:write": "acknowledge, resolve and judge alerts; has `alerts:read`",
    "tickets:write": "send tickets, and see what became of them",
    "admin": "everything, and publishing earlier forecasts again",
}


def page() -> str:
    """The whole page."""
    made = document()
    scopes = "\n".join(f"| `{scope}` | {SCOPES[scope]} |" for scope in keys.SCOPES)
    errors = "\n".join(f"| {status} | `urn:weisu:problem:{name}` | {title} |" for status, (name, title, _) in sorted(KINDS.items()))
    parts = [HEAD.format(scopes=scopes, errors=errors).rstrip()]
    for tag in made["tags"]:
        parts.append(f"## {tag['name'].capitalize()}\n\n{tag['description']}")
        parts += [
            _operation(method, path, operation)
            for path, item in made["paths"].items()
            for method, operation in item.items()
            if operation["tags"] == [tag["name"]]
        ]
    return "\n\n".join(parts) + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    needed = [scope for scheme in operation.get("security", ()) for scope in scheme["key"]]
    opens = f"Scope `{needed[0]}`." if needed else "Any valid key." if "security" in operation else "No key."
    errors = ", ".join(status for status in sorted(operation["responses"]) if status >= "400")
    lines = [f"### {method.upper()} {path}", "", operation["description"].strip(), "", f"{opens} Errors: {errors}."]
    parameters = operation.get("parameters", [])
    if parameters:
        lines += ["", "| parameter | in | values | meaning |", "|---|---|---|---|", *map(_parameter, parameters)]
    return "\n".join(lines)


def _parameter(told: dict[str, Any]) -> str:
    needed = ", needed" if told.get("required") else ""
    values = ", ".join(dict.fromkeys(_values(told["schema"]))).replace("|", "\\|")
    return f"| `{told['name']}` | {told['in']}{needed} | {values} | {told['description'].replace('|', chr(92) + '|')} |"


def _values(schema: dict[str, Any]) -> Iterator[str]:
    """What a parameter may be, in a few words."""
    for part in schema.get("anyOf", schema.get("oneOf", [schema])):
        if part.get("type") == "array":
            yield from (f"{one} …" for one in _values(part["items"]))
        elif "anyOf" in part or "oneOf" in part:
            yield from _values(part)
        elif "enum" in part:
            yield " ".join(f"`{value}`" for value in part["enum"])
        elif "const" in part:
            yield f"`{part['const']}`"
        elif part.get("type") != "null":
            yield str(part.get("format", part.get("type", "any")))
    if schema.get("default") not in (None, [], ""):
        yield f"else `{schema['default']}`"


if __name__ == "__main__":
    print(page(), end="")
