"""E-mail through a real server on this machine: encrypted, signed in, refused for now and for good, slow and gone."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from email import message_from_bytes
from email.header import decode_header
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.egress import smtp, whole_attempt, wording
from core.egress.sent import Outgoing, Sent
from core.egress.smtp import compose
from core.host.channel_sections import SmtpSchema
from tests.egress.receivers import (
    TLS_RECORD,
    Certificates,
    Dripping,
    MailServer,
    mail_server,
    make_certificates,
    raw_server,
)
from tests.pipeline.kit import START

PASSWORD = "canary-4f1c-mail"
LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Certificates) -> Iterator[MailServer]:
    with mail_server(certificates) as running:
        yield running


def options(server: MailServer, certificates: Certificates | None, **changes: Any) -> dict[str, Any]:
    given = {"kind": "smtp", "host": "127.0.0.1", "port": server.port, "sender": "outrigger@factory.example", **changes}
    if certificates is not None:
        given["ca_file"] = str(certificates.authority)
    return dict(SmtpSchema().load(given))


def message(subject: str = "报价待审批 Q-1001", text: str = "您好，\n请处理。\n", **address: str) -> Outgoing:
    to = {"name": "张伟", "email": "zhang.wei@factory.example", **address}
    return Outgoing("msg_abc", json.dumps({"subject": subject, "text": text}), START, to)


def send(server: MailServer, certificates: Certificates | None, **changes: Any) -> Sent:
    return smtp.send(message(), options(server, certificates, **changes), allow=LOOPBACK)


def test_a_mail_in_chinese_arrives_encrypted_under_its_own_id(server: MailServer, certificates: Certificates) -> None:
    sent = send(server, certificates, reply_to="sales@factory.example", sender_name="外挂 Outrigger")
    assert sent == Sent(True, False, 250, "accepted")
    [mail] = server.got
    assert (mail.sender, mail.receivers) == ("outrigger@factory.example", ["zhang.wei@factory.example"])
    told = mail.message
    assert told["Subject"] == "报价待审批 Q-1001" and mail.text.splitlines() == ["您好，", "请处理。"]
    assert told["Message-ID"] == "<msg_abc@factory.example>" and told["Date"] == "Sun, 22 Nov 2026 01:00:00 +0000"
    assert told["To"] == "张伟 <zhang.wei@factory.example>" and told["Reply-To"] == "sales@factory.example"
    assert told["From"] == "外挂 Outrigger <outrigger@factory.example>" and told["Auto-Submitted"] == "auto-generated"
    assert mail.raw.isascii()


def test_two_attempts_are_the_same_bytes(server: MailServer, certificates: Certificates) -> None:
    send(server, certificates)
    send(server, certificates)
    assert server.got[0].raw == server.got[1].raw


def test_tls_from_the_first_byte_and_a_sign_in(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    with mail_server(certificates, tls_at_once=True, sign_in=True) as server:
        server.password = PASSWORD
        sent = send(server, certificates, security="tls", username="bot", password="env:MAIL_PASSWORD")
        assert sent.is_ok and server.signed_in == [("bot", PASSWORD)] and len(server.got) == 1


def test_a_wrong_password_is_tried_again_and_never_repeated(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", PASSWORD)
    with mail_server(certificates, sign_in=True) as server:  # which repeats the password in its refusal
        sent = send(server, certificates, username="bot", password="env:MAIL_PASSWORD")
    assert (sent.is_ok, sent.is_final, sent.status) == (False, False, 535)
    assert "the sign-in was refused" in sent.reason and PASSWORD not in sent.reason


def test_a_password_nobody_set_holds_the_mail_back_with_the_name_of_its_reference(
    server: MailServer, certificates: Certificates
) -> None:
    sent = send(server, certificates, username="bot", password="env:NO_SUCH_VARIABLE")
    assert not sent.is_ok and not sent.is_final and "NO_SUCH_VARIABLE" in sent.reason


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(("answer", "is_final"), [("451 try later", False), ("550 no such user", True)])
def test_for_now_is_tried_again_and_for_good_is_final(
    server: MailServer, certificates: Certificates, command: str, answer: str, is_final: bool
) -> None:
    server.answers[command] = [answer]
    sent = send(server, certificates)
    assert (sent.is_ok, sent.is_final, sent.status) == (False, is_final, int(answer[:3]))
    assert answer[4:] in sent.reason and server.got == []
    assert send(server, certificates).is_ok


@pytest.mark.parametrize("command", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("answer", ["530 5.7.0 Authentication required", "538 5.7.11 Encryption required"])
def test_a_server_that_wants_a_sign_in_first_is_tried_again(
    server: MailServer, certificates: Certificates, command: str, answer: str
) -> None:
    server.answers[command] = [answer]
    sent = send(server, certificates)
    assert (sent.is_ok, sent.is_final, sent.status) == (False, False, int(answer[:3]))
    assert answer[4:] in sent.reason


@settings(max_examples=200, deadline=None)
@given(st.text("投诉报价逾期，。（） ab1-=?_é😀", min_size=1, max_size=130))
def test_a_subject_of_any_length_is_folded_and_reads_back_the_same(text: str) -> None:
    subject = wording.cut(wording.plain(text).strip(), 400) or "-"
    mail = compose(message(subject), {"sender": "bot@factory.example", "sender_name": "", "reply_to": None})
    raw = mail.as_bytes()
    assert raw.isascii() and max(map(len, raw.partition(b"\r\n\r\n")[0].split(b"\r\n"))) <= 78
    parts = decode_header(message_from_bytes(raw)["Subject"])
    assert "".join(part.decode(charset or "ascii") if isinstance(part, bytes) else part
                   for part, charset in parts) == subject  # fmt: skip


def test_a_certificate_nobody_trusts_is_refused_and_tried_again(server: MailServer) -> None:
    sent = send(server, None)
    assert not sent.is_ok and not sent.is_final and "CERTIFICATE_VERIFY_FAILED" in sent.reason and server.got == []


def test_a_server_without_encryption_gets_nothing_where_encryption_is_asked_for(certificates: Certificates) -> None:
    with mail_server(None) as server:
        sent = send(server, certificates)
        assert not sent.is_ok and not sent.is_final and "STARTTLS" in sent.reason and server.got == []


def test_mail_in_the_clear_goes_to_a_server_of_ones_own_alone(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(None) as server:
        assert send(server, None, security="none").is_ok
        monkeypatch.setattr(smtp, "resolve", lambda host, port, allow: "8.8.8.8")
        sent = send(server, None, security="none")
    assert sent.is_final and "outside" in sent.reason and len(server.got) == 1


def test_a_host_inside_the_network_is_refused_unless_it_is_allowed(
    server: MailServer, certificates: Certificates
) -> None:
    for host in ("127.0.0.1", "localhost", "169.254.169.254", "10.0.0.5", "[::1]", "0x7f000001"):
        given = options(server, certificates) | {"host": host.strip("[]")}
        sent = smtp.send(message(), given, allow=())
        assert sent.is_final and "egress_allow" in sent.reason
    assert server.got == []


@pytest.mark.parametrize(
    "changes",
    [{"email": "张伟@factory.example"}, {"email": "no-address"}, {"email": "a@b.example\r\nBcc: x@y.example"}],
)
def test_an_address_that_is_none_is_given_up(
    server: MailServer, certificates: Certificates, changes: dict[str, str]
) -> None:
    sent = smtp.send(message(**changes), options(server, certificates), allow=LOOPBACK)
    assert sent.is_final and not sent.is_ok and server.got == []


def test_a_domain_in_chinese_is_written_as_mail_writes_it(server: MailServer, certificates: Certificates) -> None:
    assert smtp.send(message(email="li@例子.测试"), options(server, certificates), allow=LOOPBACK).is_ok
    assert server.got[0].receivers == ["li@xn--fsqu00a.xn--0zwm56d"]


def test_a_server_that_drops_the_connection_is_tried_again() -> None:
    port, thread = raw_server(lambda connection: connection.sendall(b"220 hello\r\n"))
    sent = send(MailServer(port), None, security="none")
    thread.join()
    assert not sent.is_ok and not sent.is_final and sent.reason


def test_a_server_that_says_nothing_is_left_after_the_time_out() -> None:
    released = threading.Event()

    def silent(connection: socket.socket) -> None:
        released.wait(20)

    port, thread = raw_server(silent)
    sent = send(MailServer(port), None, security="none", timeout=0.2)
    released.set()
    thread.join()
    assert not sent.is_ok and not sent.is_final and "timed out" in sent.reason


@pytest.mark.parametrize(
    ("security", "said"),
    [("none", b"220 hello\r\n"), ("none", b"220-"), ("tls", b""), ("tls", TLS_RECORD)],
    ids=["its answers", "its greeting", "silence instead of TLS", "the TLS handshake"],
)
def test_a_server_that_answers_letter_by_letter_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, security: str, said: bytes
) -> None:
    monkeypatch.setattr(whole_attempt, "WHOLE_ATTEMPT_S", 1.0)
    dripping = Dripping(said)
    port, thread = raw_server(dripping if said else lambda connection: connection.recv(4096) and connection.recv(1))
    sent = send(MailServer(port), None, security=security, timeout=30)
    thread.join()
    assert not sent.is_ok and not sent.is_final and "cut off after 1 s" in sent.reason
    assert dripping.is_client_gone or not said


def test_a_name_that_is_not_resolved_in_time_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()
    monkeypatch.setattr(whole_attempt, "WHOLE_ATTEMPT_S", 0.1)
    monkeypatch.setattr(smtp, "resolve", lambda host, port, allow: released.wait(20))
    sent = send(MailServer(25), None, security="none")
    released.set()
    assert not sent.is_ok and not sent.is_final and "its host's name was not resolved" in sent.reason


def test_nobody_listening_is_tried_again() -> None:
    sent = send(MailServer(9), None, security="none")
    assert not sent.is_ok and not sent.is_final and "refused" in sent.reason


def test_a_missing_ca_file_says_so(server: MailServer, tmp_path: Path) -> None:
    sent = send(server, None, ca_file=str(tmp_path / "none.pem"))
    assert not sent.is_ok and not sent.is_final and "No such file" in sent.reason
