"""Tests that the page of the records' fields says what the records are."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from core.model import records

PAGE = (Path(__file__).parents[2] / "webhooks" / "FIELDS.md").read_text(encoding="utf-8")
TYPES = {
    "str": "text",
    "Decimal": "amount",
    "datetime": "time",
    "int": "whole number",
    "tuple[str, ...]": "list of texts",
    "tuple[Activity, ...]": "list",
    "tuple[Line, ...]": "list",
    "Mapping[str, Any]": "object",
    "Mapping[str, int]": "object of whole numbers",
    "Contact": "object",
    "PriceBasis": "object",
}
SECTIONS = {
    section.partition(" ")[0]: re.findall(r"^\| `(\w+)` \| ([^|]+) \| (\S+) \| (.+) \|$", section, re.MULTILINE)
    for section in PAGE.split("\n## ")[1:]
}
RECORDS = {"Market" if kind == "market" else kind.capitalize(): record for kind, record in records.KINDS.items()}


@pytest.mark.parametrize("name", [*RECORDS, "Lines"])
def test_every_field_of_a_record_is_told_with_its_type_and_its_chinese_name(name: str) -> None:
    record = RECORDS.get(name, records.Line)
    expected = [(item.name, TYPES[str(item.type).removesuffix(" | None")]) for item in dataclasses.fields(record)]
    assert [(field, type_) for field, type_, _, _ in SECTIONS[name]] == expected
    assert all(re.search(r"[\u4e00-\u9fff]", chinese) and meaning for _, _, chinese, meaning in SECTIONS[name])


@pytest.mark.parametrize(("field", "record"), [("contact", records.Contact), ("activities", records.Activity)])
def test_the_members_of_an_object_are_named(field: str, record: type) -> None:
    (told,) = [meaning for name, _, _, meaning in SECTIONS["Lead"] if name == field]
    assert re.findall(r"`(\w+)`", told) == [item.name for item in dataclasses.fields(record)]
