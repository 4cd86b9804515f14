"""A small mail server (RFC 5321) that keeps every mail it takes, as a line of `mailbox.jsonl`."""

from __future__ import annotations

import email
import email.policy
import json
import socketserver
import threading
from email.message import EmailMessage
from pathlib import Path
from typing import Any

LONGEST_LINE = 1000
LONGEST_MAIL = 1 << 20


class Mailbox(socketserver.ThreadingTCPServer):
    """Listens on a free port of the loopback address; its port and its mails are files in `directory`."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, directory: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Session)
        self._path = directory / "mailbox.jsonl"
        self._lock = threading.Lock()
        (directory / "mailbox.port").write_text(str(self.server_address[1]))

    def keep(self, receivers: list[str], raw: bytes) -> None:
        """Write one mail down, as a person would read it."""
        mail = email.message_from_bytes(raw, _class=EmailMessage, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        part = mail.get_body(("plain",))
        line = {
            "to": receivers,
            "subject": str(mail["Subject"]),
            "message_id": str(mail["Message-ID"]),
            "text": part.get_content().replace("\r\n", "\n") if part is not None else "",
        }
        with self._lock, self._path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")


class _Session(socketserver.StreamRequestHandler):
    """One connection: greeting, envelope, content, in the order the protocol asks for."""

    server: Mailbox
    timeout = 60

    def handle(self) -> None:
        self._sender: str | None = None
        self._receivers: list[str] = []
        self._say("220 demo mailbox")
        while line := self.rfile.readline(LONGEST_LINE + 2):
            verb, _, rest = line.decode("utf-8", "replace").strip().partition(" ")
            if verb.upper() == "QUIT":
                self._say("221 bye")
                return
            self._say(self._answer(verb.upper(), rest))

    def _answer(self, verb: str, rest: str) -> str:
        if verb in ("HELO", "EHLO", "NOOP", "RSET"):
            self._sender, self._receivers = None, []
            return "250 ok"
        if verb == "MAIL" and rest.upper().startswith("FROM:"):
            self._sender, self._receivers = _address(rest), []
            return "250 ok"
        if verb == "RCPT" and rest.upper().startswith("TO:"):
            if self._sender is None:
                return "503 MAIL FROM comes first"
            self._receivers.append(_address(rest))
            return "250 ok"
        if verb == "DATA":
            return self._take()
        return "502 this mailbox does not know that"

    def _take(self) -> str:
        if not self._receivers:
            return "503 RCPT TO comes first"
        self._say("354 end with a line that holds a dot alone")
        lines: list[bytes] = []
        size = 0
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            size += len(line)
            if size <= LONGEST_MAIL:
                lines.append(line[1:] if line.startswith(b".") else line)
        if line == b"" or size > LONGEST_MAIL:
            return "552 not taken"
        self.server.keep(self._receivers, b"".join(lines))
        self._sender, self._receivers = None, []
        return "250 kept"

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


def _address(rest: str) -> str:
    """Return the address of `FROM:<…>` or `TO:<…>`."""
    return rest.partition(":")[2].strip().partition(" ")[0].strip("<>")


def read_mails(directory: Path) -> list[dict[str, Any]]:
    """Return every mail that was kept so far."""
    path = directory / "mailbox.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]
