"""Look-alikes of 企业微信 group robots: they answer as the real ones do, and keep what they took in `robots.jsonl`.

The return codes and the limit are those of the maker's description: 0 is well, 93000 a key that is not known, 40008 a
kind of message that is none, 45009 more than 20 messages a minute.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PATH = "/cgi-bin/webhook/send"
PER_MINUTE = 20


class Robots:
    """All robots of the demo, by their keys; each has a name and a minute of its own."""

    def __init__(self, path: Path, names: Mapping[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._names = dict(names)
        self._clock = clock
        self._lock = threading.Lock()
        self._taken: dict[str, deque[float]] = {key: deque() for key in names}

    def take(self, address: str, body: bytes) -> dict[str, Any]:
        """Judge one message and return the answer; what is well is written down."""
        key = parse_qs(urlsplit(address).query).get("key", [""])[0]
        if key not in self._names:
            return {"errcode": 93000, "errmsg": "invalid webhook url"}
        content = _content(body)
        if content is None:
            return {"errcode": 40008, "errmsg": "invalid message type"}
        with self._lock:
            if not self._has_room(key):
                return {"errcode": 45009, "errmsg": "api freq out of limit"}
            line = {"robot": self._names[key], "content": content}
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        return {"errcode": 0, "errmsg": "ok"}

    def _has_room(self, key: str) -> bool:
        now, taken = self._clock(), self._taken[key]
        while taken and taken[0] <= now - 60:
            taken.popleft()
        if len(taken) >= PER_MINUTE:
            return False
        taken.append(now)
        return True


def _content(body: bytes) -> str | None:
    """Return what a message says, or None when it is none that a robot takes."""
    try:
        message = json.loads(body)
        kind = message["msgtype"]
        content = message[kind]["content"]
    except (ValueError, TypeError, KeyError):
        return None
    return content if kind in ("text", "markdown") and isinstance(content, str) and content else None


def read_robots(directory: Path) -> list[dict[str, Any]]:
    """Return every message the robots took so far."""
    path = directory / "robots.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]
