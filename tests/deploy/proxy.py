"""Runs a real nginx with the configuration of deploy/nginx before web processes at ports of a test's own."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.load.server import free_port
from tests.load.wire import get

NGINX = Path(__file__).resolve().parents[2] / "deploy" / "nginx"
PROGRAM = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
PATIENCE_S = 15.0

MAIN = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
worker_processes 1;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include outrigger/site.conf;
}}
"""


def lay_out(folder: Path, upstreams: Sequence[int], port: int, *, inside: Sequence[str] = ("127.0.0.0/8",)) -> Path:
    """Write a folder like /etc/nginx around the shipped site.conf; return its nginx.conf.

    Only what differs from place to place is changed: ports, addresses that are inside, the log, and TLS, which needs a
    certificate.
    """
    beside = folder / "outrigger"
    beside.mkdir(parents=True)
    site = (NGINX / "site.conf").read_text(encoding="utf-8")
    (beside / "site.conf").write_text(site, encoding="utf-8")
    place = (NGINX / "place.conf").read_text(encoding="utf-8")
    servers = re.findall(r"server 127\.0\.0\.1:(\d+)", place)
    assert len(servers) == len(upstreams)
    for shipped, own in zip(servers, upstreams, strict=True):
        place = place.replace(f"127.0.0.1:{shipped}", f"127.0.0.1:{own}")
    networks = "".join(f"    {network} 1;\n" for network in inside)
    place = re.sub(r"default 0;\n(?:    [\d./]+ 1;\n)+", lambda _: f"default 0;\n{networks}", place)
    (beside / "place.conf").write_text(place, encoding="utf-8")
    listen = f"listen 127.0.0.1:{port};\nserver_name localhost;\naccess_log {folder}/access.log outrigger;\n"
    (beside / "listen.conf").write_text(listen, encoding="utf-8")
    main = folder / "nginx.conf"
    main.write_text(MAIN.format(folder=folder), encoding="utf-8")
    return main


@contextlib.contextmanager
def proxied(folder: Path, upstreams: Sequence[int], *, inside: Sequence[str] = ("127.0.0.0/8",)) -> Iterator[int]:
    """Run nginx for the time of a test; yields its port."""
    assert PROGRAM is not None
    port = free_port()
    main = lay_out(folder, upstreams, port, inside=inside)
    process = subprocess.Popen([PROGRAM, "-c", str(main), "-p", str(folder)], stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + PATIENCE_S
        while get(port, "/nothing") is None:
            assert process.poll() is None and time.monotonic() < deadline, (folder / "error.log").read_text()
            time.sleep(0.02)
        yield port
    finally:
        process.terminate()
        process.wait(timeout=10)
