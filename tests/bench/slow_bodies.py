"""The attack that the servers are compared under: connections that send a body of a webhook a byte a second.

Run as `python -m tests.bench.slow_bodies PORT CONNECTIONS`; it opens every connection again as soon as it was closed.
"""

from __future__ import annotations

import contextlib
import socket
import sys
import time

HEAD = (
    b"POST /webhooks/crm HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 400\r\n"
    b"webhook-id: slow\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,AAAA\r\n\r\n"
)
EVERY_S = 1.0


def _open(port: int) -> socket.socket | None:
    with contextlib.suppress(OSError):
        line = socket.create_connection(("127.0.0.1", port), timeout=0.5)
        line.sendall(HEAD)
        return line
    return None


def main(port: int, connections: int) -> None:
    """Attack until killed."""
    lines: list[socket.socket | None] = [None] * connections
    while True:
        for place, line in enumerate(lines):
            try:
                if line is None:
                    lines[place] = _open(port)
                else:
                    line.sendall(b"x")
            except OSError:
                lines[place] = None
        time.sleep(EVERY_S)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
