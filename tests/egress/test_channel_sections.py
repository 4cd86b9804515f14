"""[channels] of plugins.toml: what is taken, what is filled in, and every fault with its place."""

from __future__ import annotations

from typing import Any

import pytest

from core.host.channel_sections import channel_settings, check_channels
from core.host.faults import Faults
from core.host.settings import ChannelSettings
from core.host.toml_document import parse

MAIL = 'kind = "smtp"\nhost = "smtp.example.com"\nsender = "outrigger@example.com"\n'
ROBOT = 'kind = "wecom_bot"\nurl = "env:ROBOT_URL"\n'


def checked(text: str) -> tuple[dict[str, Any], list[dict[str, str]]]:
    faults = Faults()
    found = check_channels(parse(text, "plugins.toml"), faults, lambda path, key="": path)
    return found, faults.as_errors()


def test_channels_are_filled_in_with_what_is_usual_for_their_kind() -> None:
    found, faults = checked(
        f'[channels.mail]\n{MAIL}language = "en"\n[channels.group]\n{ROBOT}fallback = true\n'
        '[channels.chat]\nkind = "webhook"\nurl = "https://chat.example.com/hook"\nrate = "2/s"\n'
    )
    assert faults == [] and list(found) == ["mail", "group", "chat"]
    mail, group, chat = (channel_settings(slug, item) for slug, item in found.items())
    assert (mail.kind, mail.rate, mail.language, mail.is_fallback) == ("smtp", (60, 60.0), "en", False)
    assert (mail.options["port"], mail.options["security"], mail.options["links"]) == (587, "starttls", True)
    assert (group.rate, group.is_fallback, group.options["links"]) == ((20, 60.0), True, False)
    assert chat == ChannelSettings(
        "chat", "webhook", {"url": "https://chat.example.com/hook", "secret": None, "links": True}, (2, 1.0)
    )


@pytest.mark.parametrize(("security", "port"), [("starttls", 587), ("tls", 465)])
def test_the_port_goes_with_the_security(security: str, port: int) -> None:
    found, _ = checked(f'[channels.mail]\n{MAIL}security = "{security}"\n')
    assert found["mail"]["options"]["port"] == port


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("channels = 3", "channels", "must be a table"),
        ("[channels]\nmail = 3", "channels.mail", "must be a table"),
        ("[channels.Mail]\n" + MAIL, "channels", "is no name"),
        ("[channels.mail]\nhost = 'x'", "channels.mail.kind", "is missing"),
        ("[channels.mail]\nkind = 'smpt'", "channels.mail.kind", 'Did you mean "smtp"?'),
        ("[channels.mail]\nkind = 3", "channels.mail.kind", "no kind of channel"),
        ("[channels.mail]\nkind = 'smtp'\nhost = 'x.example'", "channels.mail.sender", "is missing"),
        (f"[channels.mail]\n{MAIL}sendr = 1", "channels.mail", "`sendr`. Did you mean `sender`?"),
        (f"[channels.mail]\n{MAIL}password = 'hunter2'\nusername = 'bot'", "channels.mail.password", "env:NAME"),
        (f"[channels.mail]\n{MAIL}username = 'bot'", "channels.mail.username", "password"),
        (f"[channels.mail]\n{MAIL}rate = 'fast'", "channels.mail.rate", "20/m"),
        (f"[channels.mail]\n{MAIL}rate = '0/m'", "channels.mail.rate", "20/m"),
        (f"[channels.mail]\n{MAIL}rate = 20", "channels.mail.rate", "20/m"),
        (f"[channels.mail]\n{MAIL}security = 'none'", "channels.mail.security", "egress_allow"),
        (f"[channels.mail]\n{MAIL}security = 'ssl'", "channels.mail.security", "one of"),
        (f"[channels.mail]\n{MAIL}ca_file = 'ca.pem'", "channels.mail.ca_file", "absolute"),
        (f"[channels.mail]\n{MAIL}reply_to = 'nobody'", "channels.mail.reply_to", "e-mail address"),
        (f"[channels.mail]\n{MAIL}language = 'de'", "channels.mail.language", "one of"),
        ("[channels.g]\nkind = 'wecom_bot'\nurl = 'https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=abc'",
         "channels.g.url", "env:NAME"),
        (f"[channels.g]\n{ROBOT}format = 'html'", "channels.g.format", "one of"),
        ("[channels.c]\nkind = 'webhook'\nurl = 'ftp://x'", "channels.c.url", "http or https"),
        (f"[channels.a]\n{MAIL}fallback = true\n[channels.b]\n{ROBOT}fallback = true", "channels.b.fallback",
         "a is the fallback already"),
    ],
)  # fmt: skip
def test_a_fault_is_told_with_its_place(text: str, path: str, message: str) -> None:
    _, faults = checked(text)
    assert [fault["path"] for fault in faults] == [path] and message in faults[0]["message"]


@pytest.mark.parametrize("secret", ["hunter2", "https://qyapi.weixin.qq.com/cgi-bin/webhook/send?key=hunter2"])
def test_a_secret_pasted_into_the_file_is_refused_and_not_repeated(secret: str) -> None:
    for text in (f"[channels.g]\nkind = 'wecom_bot'\nurl = '{secret}'", f"[channels.m]\n{MAIL}password = '{secret}'"):
        _, faults = checked(text)
        assert faults and "hunter2" not in str(faults)


@pytest.mark.parametrize(
    ("host", "allowed", "fits"),
    [("10.0.0.25", "10.0.0.0/8", True), ("10.0.0.25", "192.168.0.0/16", False), ("mail.intra", "10.0.0.0/8", True),
     ("::1", "::1/128", True), ("::1", "127.0.0.0/8", False)],
)  # fmt: skip
def test_mail_in_the_clear_needs_its_network_among_the_allowed(host: str, allowed: str, fits: bool) -> None:
    text = MAIL.replace("smtp.example.com", host)
    _, faults = checked(f'[dispatch]\negress_allow = ["{allowed}"]\n[channels.m]\n{text}security = "none"\n')
    assert (faults == []) is fits


def test_no_channels_are_no_fault() -> None:
    assert checked("") == ({}, [])
