"""Serves a WSGI app with waitress on a socket that the supervisor opened, and stops when it is told to."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import waitress.server
from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.task import ThreadedTaskDispatcher, WSGITask

from core.web.acknowledging import AcknowledgingDispatcher

WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

THREADS = 8
POLL_S = 1.0
SEND_BYTES = 16 * 1024
"""Answers smaller than this leave in one piece, headers and body together."""

CONNECTIONS = 1_000
SLOW_CLIENT_S = 20
DRAIN_S = 20.0


def open_socket(host: str, port: int, *, patience_s: float = 5.0) -> socket.socket:
    """Listen on host and port. A port still held by a server that is just dying is waited for.

    Raises OSError when it stays taken.
    """
    deadline = time.monotonic() + patience_s
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
            listener.listen(1024)
            return listener
        except OSError:
            listener.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def serve(
    app: WsgiApp,
    listener: socket.socket,
    dispatcher: ThreadedTaskDispatcher,
    *,
    stopping: Callable[[], bool],
    beat: Callable[[], None],
    finish: Callable[[], None],
    threads: int = THREADS,
    is_behind_proxy: bool = False,
) -> NoReturn:
    """Serve until `stopping` says so, answer what was already taken, call `finish`, and end the process.

    From `stopping` on, new connections are refused, so that a proxy takes another server at once. Headers that name the
    client are kept for the app only with `is_behind_proxy`. A body is read by the event loop and handed to a thread
    when it is complete, so slow senders cost no thread.
    """
    dispatcher.set_thread_count(threads)
    server: Any = waitress.server.create_server(
        app,
        _dispatcher=dispatcher,
        sockets=[listener],
        threads=threads,
        connection_limit=CONNECTIONS,
        backlog=1024,
        channel_timeout=SLOW_CLIENT_S,
        cleanup_interval=5,
        asyncore_use_poll=True,
        max_request_body_size=2 * 1024 * 1024,
        max_request_header_size=64 * 1024,
        clear_untrusted_proxy_headers=not is_behind_proxy,
        ident=None,
        expose_tracebacks=False,
    )
    server.channel_class = _closing_while(stopping)

    def watch() -> None:
        while not stopping():
            beat()
            time.sleep(0.05)
        server.pull_trigger()
        _wait_until_idle(server, dispatcher)
        finish()
        sys.stdout.flush()
        sys.stderr.flush()
        # The event loop has nothing left to do; ending it from another thread would only be a race.
        os._exit(0)

    threading.Thread(target=watch, name="stop-watch", daemon=True).start()
    _loop(server, dispatcher, listener, stopping)


def _loop(
    server: Any, dispatcher: ThreadedTaskDispatcher, listener: socket.socket, stopping: Callable[[], bool]
) -> NoReturn:
    """Run waitress's event loop; after each round a dispatcher that serves requests by itself has its turn."""
    turn = getattr(dispatcher, "turn", lambda: None)
    server.adj.send_bytes = SEND_BYTES
    pull, loop_thread = server.pull_trigger, threading.get_ident()

    def wake() -> None:
        # The loop need not wake itself; waitress asks for it after every request.
        if threading.get_ident() != loop_thread:
            pull()

    server.pull_trigger = wake
    if isinstance(dispatcher, AcknowledgingDispatcher):
        dispatcher.begin(wake)
    while True:
        if server.accepting and stopping():
            # Between two rounds, since a round would take the hang-up for the end of the server. The supervisor holds
            # this socket too; closing ours would leave new connections waiting for an answer that never comes.
            server.accepting = False
            listener.shutdown(socket.SHUT_RD)
        wasyncore.poll2(POLL_S, server._map)
        turn()


def _closing_while(stopping: Callable[[], bool]) -> type[HTTPChannel]:
    """Ask clients to open a new connection, to another process, once this one is stopping.

    Waitress alone may write `Connection: close`; it does so for a client that asked for it, so that is what it is told.
    """

    class ClosingTask(WSGITask):
        def build_response_header(self) -> bytes:
            if stopping():
                self.request.headers["CONNECTION"] = "close"  # type: ignore[attr-defined]  # what is refused has none
            return super().build_response_header()

    class ClosingChannel(HTTPChannel):
        task_class = ClosingTask

    return ClosingChannel


def _wait_until_idle(server: Any, dispatcher: ThreadedTaskDispatcher) -> None:
    deadline = time.monotonic() + DRAIN_S
    idle = 0
    while time.monotonic() < deadline and idle < 5:
        busy = getattr(dispatcher, "busy", dispatcher.active_count + len(dispatcher.queue))
        idle = 0 if busy or server.accepting else idle + 1
        time.sleep(0.02)
