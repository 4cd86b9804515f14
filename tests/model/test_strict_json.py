"""Reading strangers' JSON: a value comes back, or UnreadableBody; never anything else, whatever the bytes."""

from __future__ import annotations

import json
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.model import strict_json
from core.model.errors import UnreadableBody
from core.model.strict_json import MAX_DEPTH, MAX_DIGITS, MAX_KEYS, MAX_STRING

REFUSED: dict[str, bytes] = {
    "nothing": b"",
    "only spaces": b"   \n",
    "a word": b"hello",
    "form fields": b"a=1&b=2",
    "xml": b"<lead><id>1</id></lead>",
    "half an object": b'{"a": 1',
    "an extra comma": b'{"a": 1,}',
    "a second value": b"{} {}",
    "single quotes": b"{'a': 1}",
    "a comment": b'{"a": 1} // so',
    "NaN": b'{"a": NaN}',
    "Infinity": b"[Infinity]",
    "minus Infinity": b"[-Infinity]",
    "a key twice": b'{"a": 1, "a": 2}',
    "a key twice, escaped": b'{"a": 1, "\\u0061": 2}',
    "a key twice, deep": b'[[{"x": {"a": 1, "a": 1}}]]',
    "a NUL": b'["\\u0000"]',
    "a NUL in a key": b'{"a\\u0000": 1}',
    "a raw NUL": b'["\x00"]',
    "a raw control character": b'["\x07"]',
    "the first half of a surrogate": b'["\\ud83d"]',
    "the second half of a surrogate": b'["\\ude00"]',
    "surrogates the wrong way round": b'["\\ude00\\ud83d"]',
    "half a surrogate in a key": b'{"\\uD800": 1}',
    "an encoded surrogate": b'["\xed\xa0\x80"]',
    "not UTF-8": b'["\xff"]',
    "GBK": '["铝"]'.encode("gbk"),
    "UTF-16": '["a"]'.encode("utf-16"),
    "a byte order mark": b"\xef\xbb\xbf{}",
    "an overlong slash": b'["\xc0\xaf"]',
    "depth": b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    "depth of objects": b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
    "a hundred thousand deep": b"[" * 100_000,
    "a hundred thousand deep, closed": b"[" * 100_000 + b"]" * 100_000,
    "a hundred thousand objects deep": b'{"a":' * 100_000,
    "an integer beyond 64 bits": b"[9223372036854775808]",
    "a negative integer beyond 64 bits": b"[-9223372036854775809]",
    "five thousand digits": b"[" + b"9" * 5000 + b"]",
    "five thousand decimals": b"[0." + b"1" * 5000 + b"]",
    "a huge exponent": b"[1e999999]",
    "a tiny exponent": b"[1e-999999]",
    "an exponent beyond Decimal": b"[1e9999999999999999999]",
    "a tiny exponent beyond Decimal": b"[1e-9999999999999999999]",
    "zero with an exponent beyond Decimal": b"[0e99999999999999999999]",
    "an exponent just too large": b"[1e31]",
    "a leading zero": b"[01]",
    "a plus sign": b"[+1]",
    "a bare point": b"[.5]",
    "hexadecimal": b"[0x10]",
    "a long string": b'["' + b"a" * (MAX_STRING + 1) + b'"]',
    "a long key": b'{"' + b"a" * (MAX_STRING + 1) + b'": 1}',
    "many keys": json.dumps({str(number): 1 for number in range(MAX_KEYS + 1)}).encode(),
    "many keys in many objects": json.dumps([{"a": 1}] * (MAX_KEYS + 1)).encode(),
}

TAKEN: dict[str, tuple[bytes, Any]] = {
    "a bare value": (b"1", 1),
    "null": (b"null", None),
    "spaces around": (b' \n{"a": 1}\t', {"a": 1}),
    "the largest integer": (b"[9223372036854775807]", [2**63 - 1]),
    "the smallest integer": (b"[-9223372036854775808]", [-(2**63)]),
    "a decimal is exact": (b"[0.1]", [Decimal("0.1")]),
    "money keeps its zeros": (b"[120000.00]", [Decimal("120000.00")]),
    "an exponent": (b"[1.5e3]", [Decimal("1.5e3")]),
    "the largest exponent": (b"[1e30]", [Decimal("1e30")]),
    "as many digits as allowed": (b"[0." + b"3" * (MAX_DIGITS - 2) + b"]", [Decimal("0." + "3" * (MAX_DIGITS - 2))]),
    "a whole surrogate pair": (b'["\\ud83d\\ude00"]', ["😀"]),
    "a backslash before u0000": (b'["\\\\u0000"]', ["\\u0000"]),
    "Chinese": ('["铝型材"]'.encode(), ["铝型材"]),
    "escaped control characters": (b'["a\\u0001\\n"]', ["a\x01\n"]),
    "as deep as allowed": (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, json.loads("[" * MAX_DEPTH + "]" * MAX_DEPTH)),
    "many flat brackets": (b"[" + b"[]," * 200 + b"[]]", [[] for _ in range(201)]),
    "the same key in two objects": (b'[{"a": 1}, {"a": 1}]', [{"a": 1}, {"a": 1}]),
    "an empty key": (b'{"": 1}', {"": 1}),
    "a string as long as allowed": (b'"' + b"a" * MAX_STRING + b'"', "a" * MAX_STRING),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_with_a_letter(name: str) -> None:
    with pytest.raises(UnreadableBody) as refused:
        strict_json.loads(REFUSED[name])
    assert refused.value.http_status == 400 and refused.value.message.startswith("The body ")
    assert len(refused.value.message) < 250


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_taken_as_it_is(name: str) -> None:
    raw, value = TAKEN[name]
    read = strict_json.loads(raw)
    assert read == value and repr(read) == repr(value)


def _never_anything_else(raw: bytes) -> None:
    try:
        value = strict_json.loads(raw)
    except UnreadableBody:
        return
    json.loads(raw)  # whatever we take the standard library takes too
    strict_json.dumps(value).encode()


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=80))
@example(b'["\\u')
@example(b"\x80")
def test_random_bytes_give_a_value_or_a_refusal(raw: bytes) -> None:
    _never_anything_else(raw)


@settings(max_examples=600, deadline=None)
@given(st.text(alphabet='{}[]",:\\u0dD8eE+-.19ntrfals \x00é', max_size=60))
def test_random_pieces_of_json_give_a_value_or_a_refusal(text: str) -> None:
    _never_anything_else(text.encode())


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc铝", max_size=4), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_what_is_written_is_read_back_the_same(value: Any) -> None:
    assert strict_json.loads(strict_json.dumps(value).encode()) == value


@settings(max_examples=300, deadline=None)
@given(JSON, st.data())
def test_a_valid_body_with_one_byte_changed_gives_a_value_or_a_refusal(value: Any, data: st.DataObject) -> None:
    raw = bytearray(strict_json.dumps(value).encode())
    raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    _never_anything_else(bytes(raw))


@settings(max_examples=200, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6))
def test_a_decimal_is_written_so_that_no_digit_is_lost(number: Decimal) -> None:
    written = json.loads(strict_json.dumps([number]))[0]
    assert Decimal(written if isinstance(written, str) else repr(written)) == number


def test_read_only_mappings_are_written_like_any_other() -> None:
    assert strict_json.dumps({"extra": MappingProxyType({"a": MappingProxyType({})})}) == '{"extra":{"a":{}}}'


@pytest.mark.parametrize("value", [object(), {1, 2}, b"x", float("nan"), float("inf")])
def test_what_is_no_json_is_not_written(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        strict_json.dumps([value])
