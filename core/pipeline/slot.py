"""Where a worker says which plugin it is calling, so that whoever survives it knows the culprit.

A page of memory shared with the supervisor: writing it costs no system call, and it outlives a killed worker. This
takes the place of the pipe that the design names; the promise (told before the call, not through the transaction that
rolls back) is the same.
"""

from __future__ import annotations

import mmap
import time
from dataclasses import dataclass

_SIZE = 4096
_BEGAN, _BEAT, _LIMIT, _LENGTH = range(4)  # numbers at the head: seconds of the monotonic clock, and the name's length
_NAME = 4 * 8
"""Where the call's name begins."""
_BETWEEN = "\x1f"
"""Stands between the parts of a call's name; none of them can hold it."""


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
        # Each number is stored by one aligned move, so a reader in another process never sees half of it. Packing all
        # of them at once would not do: it fills the place with zeros first, and a beat of zero looks like silence.
        self._numbers = memoryview(self._page)[:_NAME].cast("d")
        self.end()

    def begin(self, call: Call, limit_s: float) -> None:
        """Say that `call` begins now and may take `limit_s` seconds."""
        name = (call.unit, call.plugin, call.event_id, str(call.event_seq), str(call.generation))
        text = _BETWEEN.join(name).encode()[:3000]
        now = time.monotonic()
        self._page[_NAME : _NAME + len(text)] = text
        self._numbers[_LENGTH] = len(text)
        self._numbers[_LIMIT] = limit_s
        self._numbers[_BEAT] = now
        self._numbers[_BEGAN] = now  # last: from here on the name counts

    def end(self) -> None:
        """Say that the call returned."""
        self._numbers[_BEGAN] = 0.0
        self._numbers[_BEAT] = time.monotonic()

    def beat(self) -> None:
        """Say that the worker is alive between calls."""
        self.end()

    def clear(self) -> None:
        """Forget the last call; done by the supervisor before a new worker starts."""
        self.end()

    def overdue_s(self) -> float:
        """Return by how many seconds the current call is over its limit; negative when it is not, or none runs."""
        limit, began = self._numbers[_LIMIT], self._numbers[_BEGAN]
        return time.monotonic() - began - limit if began else -1.0

    def silent_s(self) -> float:
        """Return how long the worker has said nothing."""
        return time.monotonic() - self._numbers[_BEAT]

    def has_beaten_since(self, moment: float) -> bool:
        """Whether the worker said anything after this moment of the monotonic clock."""
        return self._numbers[_BEAT] > moment

    def current(self) -> Call | None:
        """Return the call that began and did not return, or None; sure only once the worker is dead or hangs."""
        if not self._numbers[_BEGAN]:
            return None
        try:
            text = self._page[_NAME : _NAME + int(self._numbers[_LENGTH])].decode()
            unit, plugin, event_id, seq, generation = text.split(_BETWEEN)
            return Call(unit, plugin, event_id, int(seq), int(generation))
        except ValueError:
            return None  # a living worker was writing the next name
