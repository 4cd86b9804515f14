"""Serves the product's web app by one of the servers that are compared: `python -m tests.bench.one_server NAME PORT`.

All but ours get what they come with: a pool of threads, since the app waits for durable commits.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

THREADS = 8
APP = "wsgi:create_app()"


def main(name: str, port: int) -> None:
    """Serve until killed."""
    tools = Path(sys.executable).parent
    address = f"127.0.0.1:{port}"
    if name == "outrigger":
        command = ["outrigger", "web", "--host", "127.0.0.1", "--port", str(port)]
    elif name == "gunicorn_gthread":
        command = [
            "gunicorn", APP, "-b", address, "-w", "1", "-k", "gthread", "--threads", str(THREADS),
            "--keep-alive", "20", "--log-level", "error",
        ]  # fmt: skip
    elif name == "granian":
        command = [
            "granian", "--interface", "wsgi", "--factory", "wsgi:create_app", "--host", "127.0.0.1", "--port",
            str(port), "--workers", "1", "--blocking-threads", str(THREADS), "--no-ws", "--log-level", "error",
        ]  # fmt: skip
    else:
        _serve_here(name, port)
        return
    os.execv(sys.executable, [sys.executable, str(tools / command[0]), *command[1:]])


def _serve_here(name: str, port: int) -> None:
    import wsgi

    app = wsgi.create_app()
    if name == "waitress":
        import waitress

        waitress.serve(app, host="127.0.0.1", port=port, threads=THREADS, connection_limit=1000)
    elif name == "cheroot":
        from cheroot.wsgi import Server

        server = Server(("127.0.0.1", port), app, numthreads=THREADS, request_queue_size=1024)
        server.keep_alive_conn_limit = 1000
        server.start()
    else:
        raise SystemExit(f"no server is called {name}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
