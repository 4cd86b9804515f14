"""Writes down every refused webhook request: a log line that a person can find, and a count."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from flask import Response, g, request

from core import signals
from core.model.errors import OutriggerError
from core.web.problems import request_id

UNKNOWN = "unknown"
"""The source of a refusal whose address names none that is configured."""

LINES = 20
WINDOW_S = 10.0

_log = structlog.get_logger("outrigger.webhooks")


def _later(seconds: float, work: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()


@dataclass(slots=True)
class _Window:
    began: float
    lines: int = 0
    left_out: int = 0


class Refusals:
    """Logs and counts refusals: of each source and code at most LINES lines in WINDOW_S, then one that sums up."""

    def __init__(
        self,
        sources: Callable[[], Mapping[str, Any]],
        *,
        seconds: Callable[[], float] = time.monotonic,
        later: Callable[[float, Callable[[], None]], None] = _later,
    ) -> None:
        self._sources = sources
        self._seconds = seconds
        self._later = later
        self._windows: dict[tuple[str, str], _Window] = {}
        self._lock = threading.Lock()

    def note(self, path: str, *, status: int, code: str, **about: Any) -> None:
        """Note one refused request to a path below `/webhooks/`."""
        source = self._source(path)
        signals.notify_observers(signals.webhook_refused, source, code=code, status=status)
        if self._has_room(source, code):
            kept = {name: value for name, value in about.items() if value}
            _log.warning("webhook_refused", source=source, status=status, code=code, **kept)

    def _source(self, path: str) -> str:
        slug = path.removeprefix("/webhooks/").partition("/")[0]
        try:
            return slug if slug in self._sources() else UNKNOWN
        except OutriggerError:  # no configuration can be read, so no source is known
            return UNKNOWN

    def _has_room(self, source: str, code: str) -> bool:
        key, now = (source, code), self._seconds()
        with self._lock:
            window = self._windows.get(key)
            if window is None or (now - window.began >= WINDOW_S and not window.left_out):
                window = self._windows[key] = _Window(now)
            window.lines += 1
            if window.lines <= LINES:
                return True
            window.left_out += 1
            is_first = window.left_out == 1
        if is_first:
            self._later(max(window.began + WINDOW_S - now, 0.0), lambda: self._sum_up(key))
        return False

    def _sum_up(self, key: tuple[str, str]) -> None:
        with self._lock:
            window = self._windows.pop(key)
        source, code = key
        _log.warning("webhooks_refused", source=source, code=code, more=window.left_out, seconds=WINDOW_S)


def note_refusal(refusals: Refusals, response: Response) -> None:
    """Note the refusal of the present request, if this answer is one, and let the answer carry the request's id."""
    error: OutriggerError | None = g.get("webhook_refusal")
    if error is None and response.status_code < 400:
        return
    code, reason = g.get("problem", ("http_error", ""))
    if error is not None:
        code, reason = error.code, " ".join([error.message, *getattr(error, "__notes__", ())]).strip()
    response.headers["X-Request-Id"] = request_id()
    refusals.note(
        request.path,
        status=response.status_code,
        code=code,
        reason=reason,
        request_id=request_id(),
        method=request.method,
        client=request.remote_addr,
        webhook_id=request.headers.get("webhook-id", "")[:200],
    )
