"""Where a worker says which plugin it is calling, so that whoever survives it knows the culprit.

A page of memory shared with the supervisor: writing it costs no system call, and it outlives a killed worker. This
takes the place of the pipe that the design names; the promise (told before the call, not through the transaction that
rolls back) is the same.
"""

from __future__ import annotations

import json
import mmap
import struct
import time
from dataclasses import dataclass
from typing import Any

_HEAD = struct.Struct("<dddI")  # call began, last beat, time limit (seconds, monotonic), length of the name
_SIZE = 4096


@dataclass(frozen=True, slots=True)
class Call:
    """One call into a plugin: whose it is and what it was about."""

    unit: str
    plugin: str
    event_id: str
    event_seq: int
    generation: int = 0


class CallSlot:
    """One worker's place to say what it is doing; created before the fork, read by the supervisor."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, _SIZE)
        _HEAD.pack_into(self._page, 0, 0.0, time.monotonic(), 0.0, 0)

    def begin(self, call: Call, limit_s: float) -> None:
        """Say that `call` begins now and may take `limit_s` seconds."""
        text = json.dumps([call.unit, call.plugin, call.event_id, call.event_seq, call.generation]).encode()[:3000]
        self._page[_HEAD.size : _HEAD.size + len(text)] = text
        now = time.monotonic()
        _HEAD.pack_into(self._page, 0, now, now, limit_s, len(text))

    def end(self) -> None:
        """Say that the call returned."""
        _HEAD.pack_into(self._page, 0, 0.0, time.monotonic(), 0.0, 0)

    def beat(self) -> None:
        """Say that the worker is alive between calls."""
        self.end()

    def clear(self) -> None:
        """Forget the last call; done by the supervisor before a new worker starts."""
        self.end()

    def overdue_s(self) -> float:
        """Return by how many seconds the current call is over its limit; negative when it is not, or none runs."""
        began, _, limit, _ = _HEAD.unpack_from(self._page, 0)
        return time.monotonic() - began - limit if began else -1.0

    def silent_s(self) -> float:
        """Return how long the worker has said nothing."""
        _, beat, _, _ = _HEAD.unpack_from(self._page, 0)
        return time.monotonic() - float(beat)

    def current(self) -> Call | None:
        """Return the call that began and did not return, or None."""
        began, _, _, length = _HEAD.unpack_from(self._page, 0)
        if not began:
            return None
        values: list[Any] = json.loads(self._page[_HEAD.size : _HEAD.size + length])
        return Call(*values)
