"""The demo's mailbox: the real sender's mails are kept as a person reads them, and what is no mail is refused."""

from __future__ import annotations

import smtplib
import threading
from datetime import UTC, datetime

import pytest

from core.egress import smtp
from core.egress.sent import Outgoing
from core.model.schemas import canonical_json
from deploy.demo.mailbox import LONGEST_MAIL, Mailbox, read_mails

LOCAL = ("127.0.0.1/32",)


@pytest.fixture
def port(tmp_path):
    server = Mailbox(tmp_path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def options(port):
    return {
        "host": "127.0.0.1", "port": port, "security": "none", "username": None, "password": None, "ca_file": None,
        "sender": "outrigger@demo.example", "sender_name": "Outrigger", "reply_to": None, "timeout": 5.0,
    }  # fmt: skip


def outgoing(subject, text, name="msg_1"):
    return Outgoing(
        id=name,
        body=canonical_json({"subject": subject, "text": text}),
        address={"name": "林书晴", "email": "lin.shuqing@demo.example"},
        created_at=datetime(2026, 11, 22, 8, 0, tzinfo=UTC),
    )


def test_a_mail_is_kept_as_it_is_read(port, tmp_path):
    text = "第一行\n.一行以点开头\nhttp://127.0.0.1/pages/quote-approval/decide/" + "a" * 43
    assert smtp.send(outgoing("报价 QD-06 待您审批", text), options(port), allow=LOCAL).is_ok
    (mail,) = read_mails(tmp_path)
    assert (mail["to"], mail["subject"]) == (["lin.shuqing@demo.example"], "报价 QD-06 待您审批")
    assert mail["text"].strip() == text
    assert mail["message_id"] == "<msg_1@demo.example>"


def test_its_port_stands_in_a_file(port, tmp_path):
    assert int((tmp_path / "mailbox.port").read_text()) == port


def test_commands_out_of_order_and_unknown_ones_are_refused(port, tmp_path):
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        client.helo("demo.example")
        assert client.docmd("RCPT", "TO:<a@demo.example>")[0] == 503
        assert client.docmd("DATA")[0] == 503
        assert client.docmd("TURN")[0] == 502
        assert client.docmd("MAIL", "FROM:<a@demo.example>")[0] == 250
        assert client.docmd("RSET")[0] == 250
        assert client.docmd("RCPT", "TO:<a@demo.example>")[0] == 503
    assert read_mails(tmp_path) == []


def test_a_mail_that_is_too_large_is_refused_and_the_next_one_taken(port, tmp_path):
    with smtplib.SMTP("127.0.0.1", port, timeout=5) as client:
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@demo.example", ["b@demo.example"], "Subject: big\n\n" + "x" * 70 * (LONGEST_MAIL // 60))
        client.sendmail("a@demo.example", ["b@demo.example"], "Subject: small\n\nhello")
    assert [mail["subject"] for mail in read_mails(tmp_path)] == ["small"]
