"""JMESPath expressions of the generic adapter: compiled once, run on senders' items, with kind errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from core.model.errors import ItemRejected

Path = tuple[str, ...]

# Only the first child of these is evaluated on the item itself; the others see what the first one found.
_LEFT_ONLY = frozenset(
    {
        "subexpression",
        "index_expression",
        "projection",
        "filter_projection",
        "value_projection",
        "flatten",
        "pipe",
    }
)


@dataclass(frozen=True, slots=True)
class Expression:
    """One compiled expression and the option it stands in."""

    where: str
    text: str
    compiled: Any
    paths: frozenset[Path]  # what it reads of the item; this does not go to `extra`
    path: Path | None  # when the whole expression is one plain path

    def find(self, item: Any) -> Any:
        """Return what it finds in an item, None for nothing. Raises ItemRejected when it cannot run."""
        try:
            return _exact(self.compiled.search(item))
        except (JMESPathError, TypeError, ValueError, ArithmeticError) as error:
            raise ItemRejected(f"options.{self.where}: `{self.text}` cannot be worked out: {error}") from None

    def is_given(self, item: Any) -> bool:
        """Whether a plain path leads to a member that the sender gave, be it null; others cannot tell."""
        for name in self.path or ():
            if not isinstance(item, dict) or name not in item:
                return False
            item = item[name]
        return self.path is not None


def compile_expression(text: Any, where: str) -> Expression:
    """Compile one expression. Raises ValueError saying what is wrong with it."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError("This must be a JMESPath expression, such as lead.id.")
    try:
        compiled = jmespath.compile(text)
    except JMESPathError as error:
        raise ValueError(f"`{text}` is no JMESPath expression: {' '.join(str(error).split())}") from None
    return Expression(where, text, compiled, frozenset(_paths(compiled.parsed)), _plain_path(compiled.parsed))


def _plain_path(node: Mapping[str, Any]) -> Path | None:
    if node["type"] == "field":
        return (node["value"],)
    if node["type"] != "subexpression":
        return None
    left, right = (_plain_path(child) for child in node["children"])
    return left + right if left and right else None


def _paths(node: Mapping[str, Any]) -> set[Path]:
    path = _plain_path(node)
    if path:
        return {path}
    if node["type"] == "subexpression":
        left, right = node["children"]
        before = _plain_path(left)
        if before:
            return {before + path for path in _paths(right)} or {before}
    children = node["children"][:1] if node["type"] in _LEFT_ONLY else node["children"]
    return {path for child in children if isinstance(child, Mapping) for path in _paths(child)}


def without(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a copy of a document that lacks one path; an object that is left empty goes as well."""
    name = path[0]
    if name not in document:
        return document
    rest = dict(document)
    inner = rest.pop(name)
    if len(path) > 1:
        inner = without(inner, path[1:]) if isinstance(inner, dict) else inner
        if inner != {}:
            rest[name] = inner
    return rest


def _exact(value: Any) -> Any:
    """JMESPath's own arithmetic makes floats; amounts are decimals."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, list):
        return [_exact(item) for item in value]
    if isinstance(value, dict):
        return {key: _exact(item) for key, item in value.items()}
    return value
