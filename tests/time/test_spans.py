"""Spans of time as settings write them and people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import marshmallow as ma
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.model.span_field import SpanField
from core.model.spans import Span, SpanUnit, parse_span
from core.time.built_in import BUILT_IN
from core.time.calendar import WorkingCalendar

CN = WorkingCalendar("cn", BUILT_IN["cn"])
FRIDAY = datetime(2026, 11, 20, 17, tzinfo=ZoneInfo("Asia/Shanghai"))


def _due(text: str) -> str:
    return CN.local(parse_span(text).due(FRIDAY, CN)).strftime("%m-%d %H:%M")


@pytest.mark.parametrize(
    ("written", "amount", "working", "english", "chinese"),
    [
        ("24h", timedelta(hours=24), False, "24 hours", "24 小时"),
        ("3 days", timedelta(days=3), False, "3 days", "3 天"),
        ("8 working hours", timedelta(hours=8), True, "8 working hours", "8 个工作小时"),
        ("1 working hour", timedelta(hours=1), True, "1 working hour", "1 个工作小时"),
        ("2 working days", timedelta(days=2), True, "2 working days", "2 个工作日"),
        ("1.5 working days", timedelta(days=1.5), True, "1.5 working days", "1.5 个工作日"),
        ("8 个工作小时", timedelta(hours=8), True, "8 working hours", "8 个工作小时"),
        ("2个工作日", timedelta(days=2), True, "2 working days", "2 个工作日"),
        ("15m", timedelta(minutes=15), False, "15 minutes", "15 分钟"),
        (" 2 Weeks ", timedelta(weeks=2), False, "2 weeks", "2 周"),
        ("90s", timedelta(seconds=90), False, "90 seconds", "90 秒"),
        (90, timedelta(seconds=90), False, "90 seconds", "90 秒"),
        (0.5, timedelta(seconds=0.5), False, "0.5 seconds", "0.5 秒"),
        ("3天", timedelta(days=3), False, "3 days", "3 天"),
    ],
)
def test_spans_are_read_and_told_in_both_languages(
    written: str | float, amount: timedelta, working: bool, english: str, chinese: str
) -> None:
    span = parse_span(written)
    assert (span.amount, span.working) == (amount, working)
    assert (span.text(), span.text("zh"), str(span)) == (english, chinese, english)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("soon", "Not a span of time"),
        ("", "Not a span of time"),
        ("8", "Not a span of time"),
        ("-3h", "Not a span of time"),
        (None, "Not a span of time"),
        (True, "Not a span of time"),
        ("8 workinghours", 'no unit of time "workinghours"'),
        ("3 dayz", 'Did you mean "day"?'),
        ("1 working week", "5 working days"),
        ("0h", "above zero"),
        (0, "above zero"),
        (float("nan"), "above zero"),
        (float("inf"), "above zero"),
        ("4000 days", "at most ten years"),
        ("999999999999 weeks", "at most ten years"),
    ],
)
def test_what_is_no_span_is_refused_with_an_example(written: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_span(written)


@given(
    st.decimals(min_value=Decimal("0.01"), max_value=Decimal(500), places=2),
    st.sampled_from(["second", "minute", "hour", "day", "week"]),
    st.booleans(),
    st.sampled_from(["en", "zh"]),
)
def test_what_a_span_is_told_as_is_read_as_the_same_span(
    number: Decimal, unit: SpanUnit, working: bool, language: str
) -> None:
    span = parse_span(f"{number} {unit}")
    span = Span(span.amount, working and unit != "week", unit)
    assert parse_span(span.text(language)) == span


def test_spans_are_due_by_elapsed_or_working_time() -> None:
    assert _due("24h") == "11-21 17:00"
    assert _due("3 days") == "11-23 17:00"
    assert _due("2 working hours") == "11-23 10:00"
    assert _due("2 working days") == "11-24 17:00"  # of eight hours each
    assert _due("1 working day") == "11-23 17:00"


def test_a_working_day_is_as_long_as_the_calendars_standard_day() -> None:
    day = parse_span("1 working day")
    assert day.length(CN) == timedelta(hours=8)
    assert day.length(WorkingCalendar("always", BUILT_IN["always"])) == timedelta(days=1)
    assert parse_span("0.5 working days").length(CN) == timedelta(hours=4)
    assert parse_span("1 day").length(CN) == timedelta(days=1)


def test_elapsed_time_is_counted_as_the_span_counts() -> None:
    monday = datetime(2026, 11, 23, 2, tzinfo=UTC)  # ten o'clock there
    assert parse_span("1 working hour").elapsed(FRIDAY, monday, CN) == timedelta(hours=2)
    assert parse_span("1 hour").elapsed(FRIDAY, monday, CN) == timedelta(hours=65)


class _Schema(ma.Schema):
    first_response = SpanField(load_default=parse_span("24h"))
    poll = SpanField(elapsed_only=True, load_default=None)


def test_settings_take_spans() -> None:
    assert _Schema().load({"first_response": "8 working hours"})["first_response"] == Span(timedelta(hours=8), True)
    assert _Schema().load({}) == {"first_response": Span(timedelta(hours=24)), "poll": None}
    assert _Schema().dump({"first_response": parse_span("2个工作日"), "poll": None}) == {
        "first_response": "2 working days",
        "poll": None,
    }
    with pytest.raises(ma.ValidationError, match="Not a span of time"):
        _Schema().load({"first_response": "later"})
    with pytest.raises(ma.ValidationError, match="with a unit of time"):
        _Schema().load({"first_response": 24})
    assert _Schema().load({"poll": 90})["poll"] == parse_span("90 seconds")
    with pytest.raises(ma.ValidationError, match="Working time has no meaning here"):
        _Schema().load({"poll": "2 working hours"})
