"""The other side: the CRM that takes write-backs, people's mailbox and the 企业微信 robots, in one process.

    python deploy/demo/receiver.py DIRECTORY

They answer on free ports of the loopback address, which stand in DIRECTORY/receiver.port (HTTP: CRM and robots) and
DIRECTORY/mailbox.port (SMTP). The CRM checks every signature and writes every message to DIRECTORY/received.jsonl; now
and then it answers 500 to one it has not seen, to show that nothing is lost.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.demo import robot
from deploy.demo.mailbox import Mailbox

REFUSE_EVERY = 25
TOLERANCE_S = 300


class Ledger:
    """What the CRM was told: one line a message, the first attempt of some of them refused on purpose."""

    def __init__(self, path: Path, secret: str) -> None:
        self._path = path
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._lock = threading.Lock()
        self._seen: dict[str, int] = {}

    def take(self, path: str, headers: dict[str, str], body: bytes) -> int:
        """Judge one message, write it down and return the status to answer with."""
        message_id = headers.get("webhook-id", "")
        verified = self._is_genuine(message_id, headers, body)
        with self._lock:
            attempt = self._seen[message_id] = self._seen.get(message_id, 0) + 1
            status = 401 if not verified else 500 if attempt == 1 and len(self._seen) % REFUSE_EVERY == 5 else 204
            line = {"path": path, "id": message_id, "attempt": attempt, "verified": verified, "status": status}
            with self._path.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({**line, "body": _json(body)}, ensure_ascii=False) + "\n")
        return status

    def _is_genuine(self, message_id: str, headers: dict[str, str], body: bytes) -> bool:
        timestamp = headers.get("webhook-timestamp", "")
        if not timestamp.isdecimal() or abs(time.time() - int(timestamp)) > TOLERANCE_S:
            return False
        signed = f"{message_id}.{timestamp}.".encode() + body
        wanted = "v1," + base64.b64encode(hmac.new(self._key, signed, hashlib.sha256).digest()).decode()
        given = headers.get("webhook-signature", "").split(" ")
        return any(hmac.compare_digest(wanted.encode(), item.encode()) for item in given)


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return {"unreadable": body[:200].decode(errors="replace")}


def serve(directory: Path, secret: str, robots: Mapping[str, str] | None = None) -> ThreadingHTTPServer:
    """Return a server bound to a free loopback port; its port and its ledgers are files in `directory`.

    `robots` gives the name of each robot by its key.
    """
    ledger = Ledger(directory / "received.jsonl", secret)
    group = robot.Robots(directory / "robots.jsonl", robots or {})

    class Handler(BaseHTTPRequestHandler):
        """Answers POST and nothing else."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """Take one write-back, or one message for a robot."""
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.path.startswith(robot.PATH):
                self._answer(200, json.dumps(group.take(self.path, body)).encode())
                return
            headers = {name.lower(): value for name, value in self.headers.items()}
            self._answer(ledger.take(self.path, headers, body), b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: the ledgers are the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    (directory / "receiver.port").write_text(str(server.server_address[1]))
    return server


def read_ledger(directory: Path) -> list[dict[str, Any]]:
    """Return every message the receiver has written down so far."""
    path = directory / "received.jsonl"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]


def main(directory: Path) -> None:
    """Serve mail in the background and HTTP in front, until the process is ended."""
    mailbox = Mailbox(directory)
    threading.Thread(target=mailbox.serve_forever, daemon=True).start()
    robots = json.loads(os.environ["DEMO_ROBOTS"])
    serve(directory, os.environ["DEMO_CRM_SECRET"], robots).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
