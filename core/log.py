"""JSON logs: one line of at most 16 kB per record, with event, unit and plugin bound and nothing secret in it."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, TextIO

import structlog

MAX_LINE = 16 * 1024
MAX_TEXT = 2_000
MAX_ITEMS = 50
MAX_DEPTH = 6
MASK = "***"

_SECRET_KEY = re.compile(
    r"passw|secret|token|authori[sz]ation|api_?key|signature|cookie|credential|private_?key", re.IGNORECASE
)
_PERSONAL_KEY = re.compile(
    r"^(e_?mail|phone|mobile|tel|telephone|contact|first_?name|last_?name|full_?name|address|id_?card|wechat"
    r"|body|subject|raw|headers|邮箱|电话|手机|姓名|地址|身份证)$",
    re.IGNORECASE,
)
_BEFORE, _AFTER = r"(?<![0-9A-Za-z_])", r"(?![0-9A-Za-z_])"
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]{4,}"), "whsec_***"),
    (re.compile(r"\bok_[A-Za-z0-9_-]{16,}"), "ok_***"),
    (re.compile(r"\b(Bearer|Basic|Token)\s+[^\s\"',;]{6,}", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"(?<=://)[^\s/@:]{1,200}:[^\s/@]{1,200}(?=@)"), "***:***"),
    (re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}"), "***@***"),
    (re.compile(_BEFORE + r"(?:\+?86[ -]?)?1[3-9]\d[ -]?\d{4}[ -]?\d{4}" + _AFTER), "***phone***"),
    (re.compile(_BEFORE + r"[1-9]\d{5}(?:19|20)\d{2}[01]\d[0-3]\d\d{3}[0-9Xx]" + _AFTER), "***id***"),
)
# Control characters, line separators, directional marks and surrogates could forge a line or hide text in a terminal.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")
_KEEP = ("timestamp", "level", "logger", "event", "event_id", "unit", "plugin", "request_id")


def mask_text(text: str) -> str:
    """Replace what looks like a secret, a mail address, a mobile number or an identity number."""
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text


def _clean(value: Any, depth: int = 0) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        items = list(value.items())[:MAX_ITEMS]
        return {str(key)[:100]: _clean_member(str(key), item, depth + 1) for key, item in items}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item, depth + 1) for item in list(value)[:MAX_ITEMS]]
    text = value if isinstance(value, str) else str(value)
    # Cut before masking, so that a huge value costs no regular expression more than its first part.
    cut = text[:MAX_TEXT]
    return mask_text(cut) + (f"… ({len(text)} characters)" if len(text) > MAX_TEXT else "")


def _clean_member(key: str, value: Any, depth: int) -> Any:
    if value is not None and (_SECRET_KEY.search(key) or _PERSONAL_KEY.match(key)):
        return MASK
    return _clean(value, depth)


def masked(_logger: Any, _method: str, record: Mapping[str, Any]) -> dict[str, Any]:
    """Structlog processor: mask secrets and personal data by key and by pattern, and bound every value's size."""
    return {
        str(key)[:100]: _clean(value) if key == "event" else _clean_member(str(key), value, 0)
        for key, value in record.items()
        if not str(key).startswith("_")
    }


def render(_logger: Any, _method: str, record: Mapping[str, Any]) -> str:
    """Structlog processor: write the record as one line of JSON that no terminal or log reader can be fooled by."""
    line = _one_line(record)
    if len(line.encode("utf-8", "replace")) > MAX_LINE:
        kept = {key: str(record[key])[:300] for key in _KEEP if record.get(key) is not None}
        line = _one_line({**kept, "truncated": True, "keys": sorted(map(str, record))[:MAX_ITEMS]})
    return line


def _one_line(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"), default=str)
    return _UNSAFE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)


def configure(*, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log of this process, those of libraries included, as JSON lines to `stream` (standard error)."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, masked, render],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def delivery_log(*, event_id: str, unit: str, plugin: str) -> Any:
    """Return the log a handler gets as `ctx.log`: event, unit and plugin are bound."""
    return structlog.get_logger(f"plugin.{plugin}").bind(event_id=event_id, unit=unit, plugin=plugin)
