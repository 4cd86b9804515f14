"""What a worker says about itself can be read by another process at any moment."""

from __future__ import annotations

import os
import signal
import time

from core.pipeline.slot import Call, CallSlot


def test_a_reader_never_sees_silence_or_a_hang_while_the_worker_is_busy() -> None:
    slot = CallSlot()
    child = os.fork()
    if child == 0:
        number = 0
        while True:
            number += 1
            slot.begin(Call("new_energy", "lead_scoring" * (number % 5 + 1), f"evt_{number}", number), 5.0)
            slot.end()
    try:
        calls = 0
        deadline = time.monotonic() + 1.0
        while time.monotonic() < deadline:
            for _ in range(500):
                assert slot.silent_s() < 1.0
                assert slot.overdue_s() < 0.0
                calls += slot.current() is not None
        assert calls > 0
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_the_call_that_did_not_return_outlives_the_worker() -> None:
    slot = CallSlot()
    call = Call("packaging", "case_capture", "evt_1", 7, 2)
    child = os.fork()
    if child == 0:
        slot.begin(call, 0.01)
        os._exit(9)
    os.waitpid(child, 0)
    assert slot.current() == call
    slot.clear()
    assert slot.current() is None
