"""A web process that is told to stop in the middle of a request answers it, and takes no other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

PROGRAM = """
import signal, threading, time
from waitress.task import ThreadedTaskDispatcher
from core.web.server import open_socket, serve

stopping = threading.Event()
signal.signal(signal.SIGTERM, lambda number, frame: stopping.set())


def app(environ, start_response):
    print("asked", flush=True)
    stopping.wait(30)
    start_response("202 ACCEPTED", [("Content-Length", "2")])
    return [b"ok"]


listener = open_socket("127.0.0.1", 0)
print(listener.getsockname()[1], flush=True)
serve(app, listener, ThreadedTaskDispatcher(), stopping=stopping.is_set, beat=lambda: None,
      finish=lambda: print("finished", flush=True))
"""


def test_a_request_under_way_is_answered_its_connection_closed_and_a_new_one_refused() -> None:
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
            assert process.stdout.readline() == "asked\n"
            os.kill(process.pid, signal.SIGTERM)
            answer = b""
            while part := client.recv(4096):
                answer += part
        assert answer.startswith(b"HTTP/1.1 202 ACCEPTED\r\n")
        assert b"\r\nConnection: close\r\n" in answer and answer.endswith(b"\r\n\r\nok")
        assert process.stdout.readline() == "finished\n"
        assert process.wait(timeout=30) == 0
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
    finally:
        process.kill()
        process.communicate()
