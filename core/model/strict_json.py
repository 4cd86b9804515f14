"""Reads JSON from strangers: the limits of nesting, numbers and characters are checked, duplicate keys refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from core.model.errors import UnreadableBody

MAX_DEPTH = 32
MAX_KEYS = 10_000
MAX_STRING = 256 * 1024
MAX_DIGITS = 40
MAX_EXPONENT = 30

_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


def loads(raw: bytes) -> Any:
    """Parse `raw`; floats come back as `Decimal`, integers fit 64 bits.

    Raises UnreadableBody for anything but UTF-8 JSON within the limits above.
    """
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UnreadableBody(f"The body is not UTF-8: byte {error.start} does not belong there.") from None
    if text.startswith("\ufeff"):
        raise UnreadableBody("The body starts with a byte order mark; send plain UTF-8.")
    try:
        value = _DECODER.decode(text)
    except RecursionError:
        raise UnreadableBody(f"The body is nested more than {MAX_DEPTH} levels deep.") from None
    except json.JSONDecodeError as error:
        raise UnreadableBody(
            f"The body is not JSON: {error.msg} at line {error.lineno}, column {error.colno}."
        ) from None
    brackets = raw.count(b"{") + raw.count(b"[")
    if brackets > MAX_DEPTH or len(raw) > MAX_STRING or _SUSPECT_ESCAPE.search(raw) or raw.count(b":") > MAX_KEYS:
        _check_limits(value)
    return value


def _check_limits(value: Any) -> None:
    """Walk the whole value without recursion; only bodies that might break a limit pay for this."""
    keys = 0
    stack = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        if isinstance(item, str):
            _check_string(item)
        elif isinstance(item, (dict, list)):
            if depth > MAX_DEPTH:
                raise UnreadableBody(f"The body is nested more than {MAX_DEPTH} levels deep.")
            if isinstance(item, dict):
                keys += len(item)
                if keys > MAX_KEYS:
                    raise UnreadableBody(f"The body has more than {MAX_KEYS} keys.")
                for key in item:
                    _check_string(key)
                stack.extend((child, depth + 1) for child in item.values())
            else:
                stack.extend((child, depth + 1) for child in item)


def _check_string(text: str) -> None:
    if len(text) > MAX_STRING:
        raise UnreadableBody(f"The body has a string longer than {MAX_STRING} characters.")
    if "\x00" in text:
        raise UnreadableBody("The body has a NUL character, which no field may hold.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UnreadableBody("The body has half of a surrogate pair, which is not a character.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise UnreadableBody(f'The body has the key "{key[:80]}" twice in one object.')
            seen.add(key)
    return value


def _integer(digits: str) -> int:
    if len(digits) > 20 or not -(2**63) <= int(digits) < 2**63:
        raise UnreadableBody("The body has an integer beyond 64 bits.")
    return int(digits)


def _number(digits: str) -> Decimal:
    try:
        value = Decimal(digits) if len(digits) <= MAX_DIGITS else None
    except InvalidOperation:  # an exponent beyond what Decimal itself can hold
        value = None
    if value is None or abs(value.adjusted()) > MAX_EXPONENT:
        raise UnreadableBody("The body has a number of too many digits or too large an exponent.")
    return value


def _constant(name: str) -> NoReturn:
    raise UnreadableBody(f"The body has {name}, which is not a JSON number.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant
)


def _encode_other(value: object) -> object:
    if isinstance(value, Decimal):
        as_float = float(value)
        return as_float if Decimal(repr(as_float)) == value else str(value)
    if isinstance(value, Mapping):
        return dict(value)  # the read-only mappings that events carry
    raise TypeError(f"{type(value).__name__} cannot be stored as JSON")


def encoder(other: Callable[[Any], Any]) -> Callable[[Any], str]:
    """Return a function that writes compact JSON; `other` makes plain values of what JSON does not know.

    The standard library makes its encoder anew for every value, which costs more than most of our values do.
    """
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # an interpreter without the accelerator
        return json.JSONEncoder(
            ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=other, check_circular=False
        ).encode
    pieces = make(None, other, json.encoder.encode_basestring, None, ":", ",", False, False, False)

    def encode(value: Any) -> str:
        return "".join(pieces(value, 0))

    return encode


_encode = encoder(_encode_other)


def dumps(value: Any) -> str:
    """Write compact JSON for our own tables; a Decimal becomes a number if a float holds it exactly, else text."""
    return _encode(value)
