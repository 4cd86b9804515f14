"""Sends one e-mail through a mail server: at an address that was checked, encrypted, under a message id that stays.

What an answer means follows RFC 5321, section 4.2.1: 4xx is worth trying again, 5xx about the message, its sender or
its receiver is final. A refused or missing sign-in (RFC 4954, also where the server asks for one at a later step), a
certificate that does not fit or a missing STARTTLS is IT's to mend, so these are tried again; the message is not lost
over them.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import smtplib
import socket
import ssl
from collections.abc import Mapping, Sequence
from email.errors import MessageError
from email.header import Header
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from typing import Any

from core.egress.addresses import DestinationRefused, innermost, resolve
from core.egress.sent import Outgoing, Sent, without
from core.egress.whole_attempt import Limit, limited
from core.host.secrets import SecretUnavailable, resolve_secret
from core.model.errors import OutriggerError

_SIGN_IN = frozenset({530, 534, 535, 538})
"""What a server answers at any step when it wants a sign-in, another one, or encryption first (RFC 4954, RFC 3207)."""


class _Policy(EmailPolicy):
    """Folds a subject beyond ASCII by RFC 2047 alone: the library's own folding loses spaces of long Chinese ones."""

    def fold(self, name: str, value: Any) -> str:
        if name.lower() != "subject" or str(value).isascii():
            return str(super().fold(name, value))
        return f"{name}: {Header(str(value), 'utf-8', header_name=name).encode(linesep=self.linesep)}{self.linesep}"

    def fold_binary(self, name: str, value: Any) -> bytes:
        return self.fold(name, value).encode("ascii")


_POLICY = _Policy(linesep="\r\n", cte_type="7bit")


class _Server(smtplib.SMTP):
    """A connection to the address that was checked, which goes on under the server's name."""

    def __init__(self, options: Mapping[str, Any], address: str, context: ssl.SSLContext | None, limit: Limit) -> None:
        self._address = address
        self._limit = limit
        self._tls_at_once = context if options["security"] == "tls" else None
        sender_domain = options["sender"].rpartition("@")[2]
        super().__init__(options["host"], options["port"], local_hostname=sender_domain, timeout=options["timeout"])

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((self._address, port), min(timeout, self._limit.left_s()))
        try:
            self._limit.watch(plain)
            plain.settimeout(timeout)
            if self._tls_at_once is None:
                return plain
            return self._tls_at_once.wrap_socket(plain, server_hostname=host)
        except BaseException:
            plain.close()
            raise


def send(message: Outgoing, options: Mapping[str, Any], *, allow: Sequence[str]) -> Sent:
    """Send the captured message once. Never raises for what an address, a mail server or a network can do."""
    password = ""
    try:
        password = _password(options)
        mail = compose(message, options)
        host = _ascii_host(options["host"])
        with limited() as limit:
            address = limit.run(lambda: resolve(host, options["port"], allow), "its host's name was not resolved")
            if options["security"] == "none" and innermost(ipaddress.ip_address(address)).is_global:
                reason = f'{host} is outside, and `security = "none"` is for a server of your own;'
                return Sent(False, True, None, f'{reason} use "starttls" or "tls"')
            return _deliver(mail, {**options, "host": host}, address, password, limit)
    except DestinationRefused as error:
        return Sent(False, True, None, error.message)
    except ssl.SSLError as error:  # of which a certificate that does not fit is a ValueError, too
        return Sent(False, False, None, f"{type(error).__name__}: {error}"[:500])
    except (ValueError, IndexError, MessageError) as error:
        return Sent(False, True, None, without(password, f"cannot be written as an e-mail: {error}")[:500])
    except OutriggerError as error:
        return Sent(False, False, None, error.message)
    except smtplib.SMTPResponseException as error:
        return _judge(error.smtp_code, error.smtp_error, password, _step_of(error))
    except smtplib.SMTPRecipientsRefused as error:
        code, said = next(iter(error.recipients.values()))
        return _judge(code, said, password, "the receiver")
    except (smtplib.SMTPException, OSError) as error:
        return Sent(False, False, None, without(password, f"{type(error).__name__}: {error}")[:500])


def compose(message: Outgoing, options: Mapping[str, Any]) -> EmailMessage:
    """Return the mail: the same bytes on every attempt. Raises ValueError for an address that is none."""
    body = json.loads(message.body)
    to = message.address
    mail = EmailMessage(policy=_POLICY)
    mail["From"] = Address(options["sender_name"], addr_spec=options["sender"])
    mail["To"] = Address(to["name"], addr_spec=_ascii_address(to["email"]))
    if options["reply_to"]:
        mail["Reply-To"] = Address(addr_spec=options["reply_to"])
    mail["Subject"] = body["subject"]
    mail["Date"] = format_datetime(message.created_at)
    mail["Message-ID"] = f"<{message.id}@{options['sender'].rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's holiday notice answers it
    mail.set_content(body["text"], charset="utf-8")
    return mail


def _deliver(mail: EmailMessage, options: Mapping[str, Any], address: str, password: str, limit: Limit) -> Sent:
    context = None if options["security"] == "none" else ssl.create_default_context(cafile=options["ca_file"])
    with _Server(options, address, context, limit) as server:
        if options["security"] == "starttls":
            server.ehlo_or_helo_if_needed()
            server.starttls(context=context)
        if options["username"]:
            server.login(options["username"], password)
        server.send_message(mail)
        # What the server says to QUIT comes after it took the message, so it changes nothing.
        with contextlib.suppress(smtplib.SMTPException, OSError):
            server.quit()
    return Sent(True, False, 250, "accepted")


def _password(options: Mapping[str, Any]) -> str:
    if not options["password"]:
        return ""
    try:
        return resolve_secret(options["password"]).decode("ascii")
    except UnicodeDecodeError:
        raise SecretUnavailable(
            f"{options['password']} holds characters beyond ASCII, which SMTP cannot carry."
        ) from None


def _ascii_address(address: str) -> str:
    local, _, domain = address.rpartition("@")
    if not local.isascii():
        raise ValueError("the part before the @ holds characters beyond ASCII, which few mail servers take")
    return f"{local}@{_ascii_host(domain)}"


def _ascii_host(host: str) -> str:
    return host if host.isascii() else host.encode("idna").decode()


def _step_of(error: smtplib.SMTPResponseException) -> str:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return "the sign-in"
    if isinstance(error, smtplib.SMTPSenderRefused):
        return "the sender"
    return "the message" if isinstance(error, smtplib.SMTPDataError) else "the connection"


def _judge(code: int, said: bytes | str, password: str, what: str) -> Sent:
    """Return what a refusal means. A sign-in's refusal is not repeated, since it may repeat what was sent."""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    shown = "" if what == "the sign-in" else f": {without(password, text)}"
    is_about_the_mail = what in ("the sender", "the receiver", "the message") and code not in _SIGN_IN
    is_final = 500 <= code < 600 and is_about_the_mail
    return Sent(False, is_final, code, f"{code}, {what} was refused{shown}"[:500])
