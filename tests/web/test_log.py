"""Logs: one safe line of JSON per record, with nothing secret or personal in it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core import log


def test_a_handlers_log_has_event_unit_and_plugin_bound(lines: Callable[[], list[dict[str, Any]]]) -> None:
    log.delivery_log(event_id="evt_1", unit="energy", plugin="lead_scoring").info("graded", grade="A", 客户="远航")
    (line,) = lines()
    assert (line["event_id"], line["unit"], line["plugin"]) == ("evt_1", "energy", "lead_scoring")
    assert (line["event"], line["grade"], line["客户"], line["level"]) == ("graded", "A", "远航", "info")


@pytest.mark.parametrize("key", ["password", "api_key", "Authorization", "webhook_secret", "email", "phone", "手机"])
def test_secrets_and_personal_data_are_masked_by_key(lines: Callable[[], list[dict[str, Any]]], key: str) -> None:
    structlog.get_logger("x").info("seen", **{key: "canary-7"}, inner={"deep": [{key: "canary-7"}]})
    assert "canary-7" not in json.dumps(lines())


@pytest.mark.parametrize(
    "text",
    ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "ok_" + "A1b2" * 11, "Bearer abcdef123456", "wang.gong@example.com",
     "13812345678", "+86 138 1234 5678", "11010519491231002X", "postgresql://app:hunter2hunter2@db/x"],
)  # fmt: skip
def test_secrets_and_personal_data_are_masked_by_pattern(lines: Callable[[], list[dict[str, Any]]], text: str) -> None:
    structlog.get_logger("x").info(f"got {text} here", note=f"({text})")
    logging.getLogger("library").warning("also %s", text)
    try:
        int(text)
    except ValueError:
        structlog.get_logger("x").exception("failed")
    said = json.dumps(lines(), ensure_ascii=False)
    canary = "hunter2" if "hunter2" in text else text
    assert canary not in said


@pytest.mark.parametrize("text", ["evt_13812345678901234567890123456789", "seq 1700000000000000", "L-2026-11-22"])
def test_ids_and_numbers_are_not_taken_for_personal_data(lines: Callable[[], list[dict[str, Any]]], text: str) -> None:
    structlog.get_logger("x").info(text)
    assert lines()[0]["event"] == text


HOSTILE = st.text() | st.sampled_from(
    ["a\r\nb", "\x1b[31mred", "\u202eevil", "\u2028", "\ud800", "x" * 1_000_000, "\x00"]
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None)
@given(text=HOSTILE, value=st.recursive(HOSTILE | st.integers() | st.none() | st.floats(), st.lists, max_leaves=20))
def test_whatever_is_logged_is_one_line_of_json(
    lines: Callable[[], list[dict[str, Any]]], text: str, value: Any
) -> None:
    structlog.get_logger("x").info(text, value=value, **{f"k{number}": text for number in range(12)})
    assert len(lines()) == 1


def test_a_record_that_is_too_long_keeps_what_it_is_about(lines: Callable[[], list[dict[str, Any]]]) -> None:
    bound = log.delivery_log(event_id="evt_1", unit="energy", plugin="p")
    bound.info("huge", **{f"k{number}": "数" * 2_000 for number in range(40)})
    (line,) = lines()
    assert (line["event"], line["event_id"], line["truncated"]) == ("huge", "evt_1", True)
