"""Tells a service manager that the server is ready or stops: the protocol of systemd's `Type=notify`."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

READY = "READY=1"
STOPPING = "STOPPING=1"


def tell(state: str, environ: Mapping[str, str] | None = None) -> bool:
    """Send `state` to the socket that NOTIFY_SOCKET names; return whether somebody was told.

    Without the variable nobody asked. A service manager that does not listen any more is no reason to stop serving.
    """
    path = (os.environ if environ is None else environ).get("NOTIFY_SOCKET", "")
    if not path.startswith(("/", "@")):
        return False
    # A leading @ means an address that is in no file system; the kernel writes it with a zero.
    address = "\0" + path[1:] if path.startswith("@") else path
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notice:
            notice.sendto(state.encode(), address)
    except OSError:
        return False
    return True
