"""Renders the OpenAPI description as one page that needs no script and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, render_template

from core.web.gate import nonce
from core.web.openapi import Api

_METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Field:
    """One parameter, or one member of a body or an answer."""

    name: str
    kind: str
    place: str = ""
    is_required: bool = False
    text: str = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One call, as the page shows it."""

    method: str
    path: str
    summary: str
    text: str
    role: str
    parameters: list[Field] = field(default_factory=list)
    body: list[Field] = field(default_factory=list)
    answers: list[tuple[str, list[Field]]] = field(default_factory=list)


def install(app: Flask, api: Api) -> None:
    """Serve /docs, and say in the description which role each call needs."""
    roles = _roles(app)
    spec = api.spec.to_dict()
    for (method, path), role in roles.items():
        operation = spec.get("paths", {}).get(path, {}).get(method)
        if operation is not None:
            operation["x-role"] = role

    @app.get("/docs")
    def docs() -> str:
        return render_template("docs.html", spec=spec, groups=groups(spec), nonce=nonce())


def _roles(app: Flask) -> dict[tuple[str, str], str]:
    found = {}
    for rule in app.url_map.iter_rules():
        role = getattr(app.view_functions[rule.endpoint], "required_role", None)
        path = "".join(f"{{{text}}}" if is_variable else text for is_variable, text in _trace(rule))
        for method in rule.methods or ():
            if role:
                found[(method.lower(), path)] = role
    return found


def _trace(rule: Any) -> Iterator[tuple[bool, str]]:
    for is_variable, text in rule._trace:
        yield is_variable, text.lstrip("|")


def groups(spec: Mapping[str, Any]) -> dict[str, list[Operation]]:
    """Return the operations by their tag, in the order of the description."""
    found: dict[str, list[Operation]] = {}
    for path, methods in spec.get("paths", {}).items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                tag = (operation.get("tags") or ["other"])[0]
                found.setdefault(tag, []).append(_operation(method, path, methods, spec))
    return found


def _operation(method: str, path: str, methods: Mapping[str, Any], spec: Mapping[str, Any]) -> Operation:
    raw = methods[method]
    parameters = [_resolve(item, spec) for item in [*methods.get("parameters", []), *raw.get("parameters", [])]]
    answers = []
    for status, answer in sorted(raw.get("responses", {}).items()):
        if status.isdigit() and int(status) < 300:
            answers.append((status, _members(_resolve(answer, spec), spec)))
    return Operation(
        method=method.upper(),
        path=path,
        summary=raw.get("summary", ""),
        text=raw.get("description", ""),
        role=raw.get("x-role", ""),
        parameters=[
            Field(item["name"], _kind(item.get("schema", {})), item["in"], bool(item.get("required")), _text(item))
            for item in parameters
        ],
        body=_members(raw.get("requestBody", {}), spec),
        answers=answers,
    )


def _members(holder: Mapping[str, Any], spec: Mapping[str, Any]) -> list[Field]:
    schema = _resolve(holder.get("content", {}).get("application/json", {}).get("schema", {}), spec)
    required = set(schema.get("required", []))
    return [
        Field(name, _kind(member), "", name in required, _text(member))
        for name, member in schema.get("properties", {}).items()
    ]


def _text(item: Mapping[str, Any]) -> str:
    return str(item.get("description") or item.get("schema", {}).get("description", ""))


def _resolve(item: Any, spec: Mapping[str, Any]) -> Mapping[str, Any]:
    while isinstance(item, Mapping) and "$ref" in item:
        target: Any = spec
        for part in item["$ref"].removeprefix("#/").split("/"):
            target = target[part]
        item = target
    return item if isinstance(item, Mapping) else {}


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    kind = schema.get("type", "any")
    name = " or ".join(item for item in kind) if isinstance(kind, list) else str(kind)
    if name == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return f"{name} ({schema['format']})" if "format" in schema else name
