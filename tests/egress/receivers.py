"""Real receivers on this machine: a mail server with its certificates, a group robot, one that drips."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP as POLICY
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


@dataclass
class Certificates:
    """A private authority and a server's certificate for 127.0.0.1, as files."""

    authority: Path
    server: Path

    def context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server)
        return context


def make_certificates(folder: Path) -> Certificates:
    """Make a private authority and a certificate that it signed."""
    begins = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)

    def built(subject: str, key: Any, issuer: str, signer: Any, *, is_authority: bool) -> x509.Certificate:
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins)
            .not_valid_after(begins + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        )
        if is_authority:
            usage = x509.KeyUsage(
                key_cert_sign=True, crl_sign=True, digital_signature=True, content_commitment=False,
                key_encipherment=False, data_encipherment=False, key_agreement=False, encipher_only=False,
                decipher_only=False,
            )  # fmt: skip
            builder = builder.add_extension(usage, critical=True)
        else:
            names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(signer, hashes.SHA256())

    authority_key, server_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = built("test authority", authority_key, "test authority", authority_key, is_authority=True)
    server = built("127.0.0.1", server_key, "test authority", authority_key, is_authority=False)
    pem = serialization.Encoding.PEM
    private = server_key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    found = Certificates(folder / "authority.pem", folder / "server.pem")
    found.authority.write_bytes(authority.public_bytes(pem))
    found.server.write_bytes(private + server.public_bytes(pem))
    return found


@dataclass
class Mail:
    """One mail as it arrived."""

    sender: str
    receivers: list[str]
    raw: bytes

    @property
    def message(self) -> EmailMessage:
        return BytesParser(policy=POLICY).parsebytes(self.raw)

    @property
    def text(self) -> str:
        return str(self.message.get_content())


@dataclass
class MailServer:
    """A mail server whose answers to MAIL, RCPT and DATA can be set; each is given once, then it accepts."""

    port: int = 0
    got: list[Mail] = field(default_factory=list)
    answers: dict[str, list[str]] = field(default_factory=dict)
    signed_in: list[tuple[str, str]] = field(default_factory=list)
    password: str = "secret"

    def _answer(self, command: str) -> str | None:
        waiting = self.answers.get(command)
        return waiting.pop(0) if waiting else None

    async def handle_MAIL(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        envelope.mail_from = address
        return self._answer("MAIL") or "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        refusal = self._answer("RCPT")
        if refusal is None:
            envelope.rcpt_tos.append(address)
        return refusal or "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        refusal = self._answer("DATA")
        if refusal is None:
            self.got.append(Mail(envelope.mail_from, list(envelope.rcpt_tos), envelope.content))
        return refusal or "250 taken"

    def authenticate(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        login, password = data.login.decode(), data.password.decode()
        self.signed_in.append((login, password))
        if password == self.password:
            return AuthResult(success=True)
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 not {password}")


@contextmanager
def mail_server(
    certificates: Certificates | None, *, tls_at_once: bool = False, sign_in: bool = False
) -> Iterator[MailServer]:
    """Run a mail server: with STARTTLS, with TLS from the first byte, or (without certificates) in the clear."""
    handler = MailServer()
    loop = asyncio.new_event_loop()
    context = certificates.context() if certificates else None

    def session() -> SMTP:
        options: dict[str, Any] = {"hostname": "mail.test", "loop": loop, "enable_SMTPUTF8": False}
        if context is not None and not tls_at_once:
            options |= {"tls_context": context, "require_starttls": True}
        if sign_in:
            options |= {"authenticator": handler.authenticate, "auth_require_tls": not tls_at_once}
        return SMTP(handler, **options)

    server = loop.run_until_complete(loop.create_server(session, "127.0.0.1", 0, ssl=context if tls_at_once else None))
    handler.port = server.sockets[0].getsockname()[1]
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield handler
    finally:

        async def stop() -> None:
            server.close()
            for task in asyncio.all_tasks(loop) - {asyncio.current_task(loop)}:
                task.cancel()
            await asyncio.sleep(0)

        asyncio.run_coroutine_threadsafe(stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


class Robot(ThreadingHTTPServer):
    """A group robot: it keeps what it was sent and answers 200 with an errcode, or what was queued."""

    daemon_threads = True
    key = "693a91f6-7xxx-4bc4-97a0-0ec2sifa5aaa"

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.answers: list[tuple[int, Any]] = []
        self.before_answer: Callable[[], None] = lambda: None
        super().__init__(("127.0.0.1", 0), _RobotHandler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/cgi-bin/webhook/send?key={self.key}"


class _RobotHandler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        robot: Robot = self.server  # type: ignore[assignment]
        raw = self.rfile.read(int(self.headers["content-length"]))
        robot.raw.append(raw)
        robot.got.append(json.loads(raw))
        robot.before_answer()
        status, answer = robot.answers.pop(0) if robot.answers else (200, {"errcode": 0, "errmsg": "ok"})
        if f"key={robot.key}" not in self.path:
            answer = {"errcode": 93000, "errmsg": f"invalid webhook url {self.path}"}
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def robot() -> Iterator[Robot]:
    """Run a group robot."""
    server = Robot()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


TLS_RECORD = b"\x16\x03\x03\x3f\xff"
"""The beginning of a long record of a TLS handshake."""


def raw_server(behave: Callable[[socket.socket], Any]) -> tuple[int, threading.Thread]:
    """Take one connection, if one comes, and behave in some way; return the port. The listener closes after it."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)

    def run() -> None:
        with listener:
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                return  # whoever was to connect never did; a test that joins this thread must not hang
            with connection:
                behave(connection)

    thread = threading.Thread(target=run)
    thread.start()
    return listener.getsockname()[1], thread


@dataclass
class Dripping:
    """Says something at once and goes on letter by letter, never silent for as long as a time-out of one step.

    It ends when the client is gone, or after some ten seconds, so that a test fails where nobody cuts it off.
    """

    begins: bytes
    letter: bytes = b"2"
    is_client_gone: bool = False

    def __call__(self, connection: socket.socket) -> None:
        pause = threading.Event()
        try:
            connection.sendall(self.begins)
            for _ in range(500):
                pause.wait(0.02)
                connection.sendall(self.letter)
        except OSError:
            self.is_client_gone = True
