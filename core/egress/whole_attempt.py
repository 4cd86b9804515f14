"""Ends an attempt to send that takes too long as a whole, at whatever step: time-outs alone bound one step each."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from typing import TypeVar

from core.model.errors import OutriggerError

WHOLE_ATTEMPT_S = 40.0
"""After so many seconds an attempt is cut off. A courier's claim on its message is a little longer, by the time that
comes before and after the attempt."""

_Result = TypeVar("_Result")


class TookTooLong(OutriggerError):
    """An attempt to send was cut off, since its receiver took too long over it as a whole."""

    code = "egress.took_too_long"


class Limit:
    """The time that one attempt has; whatever it does over the network is put under it by `run` and `watch`."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = time.monotonic() + seconds
        self._is_cut = False
        self._handles: list[socket.socket] = []
        self._lock = threading.Lock()

    @property
    def is_over(self) -> bool:
        """Whether the time is used up."""
        return self._is_cut or time.monotonic() >= self._until

    def check(self) -> None:
        """Raise TookTooLong when the time is used up: an answer that was cut off may look like one that ended."""
        if self.is_over:
            raise TookTooLong(self._letter("the receiver had not taken the message and answered by then"))

    def left_s(self) -> float:
        """Return how many seconds are left, more than none. Raises TookTooLong when the time is used up."""
        self.check()
        return max(self._until - time.monotonic(), 0.001)

    def watch(self, connection: socket.socket) -> None:
        """Shut a connection, before any TLS on it begins, when the time is used up. Raises OSError."""
        # A handle of its own: what wraps the socket in TLS takes the first one away, and shutting the wrapped one would
        # take the encryption off while another thread still writes.
        handle = connection.dup()
        with self._lock:
            self._handles.append(handle)
            if self._is_cut:
                _shut(handle)

    def run(self, call: Callable[[], _Result], what: str) -> _Result:
        """Return what a call that nothing can interrupt answers; raises what it raises, or TookTooLong.

        It runs in a thread of its own, which is left behind when the time is used up and ends with the call; so `call`
        must do no harm later. `what` says in the letter what had not happened by then.
        """
        answer: Future[_Result] = Future()

        def work() -> None:
            try:
                answer.set_result(call())
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=work, name="attempt", daemon=True).start()
        if not wait([answer], self.left_s()).done:
            raise TookTooLong(self._letter(what))
        return answer.result()

    def cut(self) -> None:
        """Shut every connection that is watched."""
        with self._lock:
            self._is_cut = True
            for handle in self._handles:
                _shut(handle)

    def end(self) -> None:
        """Watch nothing any more."""
        with self._lock:
            for handle in self._handles:
                handle.close()
            self._handles.clear()

    def _letter(self, what: str) -> str:
        return f"the attempt was cut off after {self.seconds:g} s: {what}"


def _shut(handle: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the other side has shut it already
        handle.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def limited() -> Iterator[Limit]:
    """Hand out the limit of one attempt of `WHOLE_ATTEMPT_S`.

    Whatever the attempt ends in after that was brought about by the cut and is raised as TookTooLong; an attempt that
    has come to its end nevertheless has its end.
    """
    limit = Limit(WHOLE_ATTEMPT_S)
    timer = threading.Timer(limit.seconds, limit.cut)
    timer.daemon = True
    timer.start()
    try:
        yield limit
    except TookTooLong:
        raise
    except Exception:
        limit.check()
        raise
    finally:
        timer.cancel()
        limit.end()
