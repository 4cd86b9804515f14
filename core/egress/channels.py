"""The kinds of channels: whom each can reach, how it wants a message written, and how it sends one.

A kind is an entry of `KINDS`; its keys in plugins.toml stand in `core.host.channel_sections`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from core.egress import http, smtp, wecom, wording
from core.egress.sent import Outgoing, Sent
from core.egress.signing import signing_key
from core.model.errors import OutriggerError
from core.model.people import Person

LONGEST_SUBJECT = 400
LONGEST_TEXT = 64 * 1024
"""Bytes of UTF-8 of a message where the channel itself sets no limit."""

_WECOM_USER = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_.@-]{0,63}$")
_WECOM_PHONE = re.compile(r"^\+?\d{5,20}$")

Options = Mapping[str, Any]
Reached = Mapping[str, Any]
"""What a channel must know of a person beside the message."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message filled in for one person: subject, text, the link in it, and what an unwritten one would carry."""

    subject: str
    text: str
    link: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of channel, as functions of a channel's options.

    `reach` returns None for a person it has no address of; `lacks` says what is missing then. `endings` are the kinds
    of template it takes, the best first. `write` returns the body, which is captured once.
    """

    lacks: str
    reach: Callable[[Person | None, Options], Reached | None]
    endings: Callable[[Options], tuple[str, ...]]
    harmless: Callable[[Options], Callable[[str], str]]
    write: Callable[[Letter, Reached, Options], dict[str, Any]]
    send: Callable[[Outgoing, Options, datetime, Sequence[str]], Sent]


def _only_text(options: Options) -> tuple[str, ...]:
    return ("txt",)


def _plain(options: Options) -> Callable[[str], str]:
    return wording.plain


# ---------------------------------------------------------------------------------------------------- smtp


def _smtp_reach(person: Person | None, options: Options) -> Reached | None:
    if person is None or not person.email:
        return None
    return {"name": wording.plain(person.name), "email": person.email}


def _smtp_write(letter: Letter, reached: Reached, options: Options) -> dict[str, Any]:
    return {
        "subject": wording.cut(letter.subject, LONGEST_SUBJECT),
        "text": wording.cut(letter.text, LONGEST_TEXT, letter.link),
    }


def _smtp_send(message: Outgoing, options: Options, now: datetime, allow: Sequence[str]) -> Sent:
    return smtp.send(message, options, allow=allow)


# ---------------------------------------------------------------------------------------------------- wecom_bot


def _wecom_reach(person: Person | None, options: Options) -> Reached | None:
    """Name whom to call; a group takes messages for people whom it cannot call, too."""
    if person is None or not options["mention"]:
        return {}
    user = person.wecom or ""
    if _WECOM_USER.match(user) and user.lower() not in ("all", "@all"):
        return {"user": user}
    phone = (person.phone or "").replace(" ", "").replace("-", "")
    return {"phone": phone} if _WECOM_PHONE.match(phone) else {}


def _wecom_endings(options: Options) -> tuple[str, ...]:
    return ("md", "txt") if options["format"] == "markdown" else ("txt",)


def _wecom_harmless(options: Options) -> Callable[[str], str]:
    return wording.without_markup if options["format"] == "markdown" else wording.without_mentions


def _wecom_write(letter: Letter, reached: Reached, options: Options) -> dict[str, Any]:
    is_markdown = options["format"] == "markdown"
    subject = f"**{letter.subject}**" if is_markdown else letter.subject
    call = len(f"<@{reached['user']}>\n") if is_markdown and reached.get("user") else 0
    content = wording.cut(f"{subject}\n{letter.text}", wecom.LONGEST[options["format"]] - call, letter.link)
    return wecom.body_of(content, options["format"], reached)


def _wecom_send(message: Outgoing, options: Options, now: datetime, allow: Sequence[str]) -> Sent:
    return wecom.send(message, options, now=now, allow=allow)


# ---------------------------------------------------------------------------------------------------- webhook


def _webhook_reach(person: Person | None, options: Options) -> Reached | None:
    """Take everything: the system behind it knows people by ways of its own."""
    return {}


def _webhook_write(letter: Letter, reached: Reached, options: Options) -> dict[str, Any]:
    facts = dict(letter.facts)
    told = {
        "subject": wording.cut(letter.subject, LONGEST_SUBJECT),
        "text": wording.cut(letter.text, LONGEST_TEXT, letter.link),
        "link": letter.link or None,
    }
    return {**facts, "data": {**facts["data"], **told}}


def _webhook_send(message: Outgoing, options: Options, now: datetime, allow: Sequence[str]) -> Sent:
    try:
        keys = (signing_key(options["secret"]),) if options["secret"] else ()
    except OutriggerError as error:
        return Sent(False, False, None, error.message)
    body = message.body.encode()
    return http.send(options["url"], body, message_id=message.id, secrets=keys, now=now, allow=allow)


KINDS: Mapping[str, Kind] = {
    "smtp": Kind("an e-mail address", _smtp_reach, _only_text, _plain, _smtp_write, _smtp_send),
    "wecom_bot": Kind("", _wecom_reach, _wecom_endings, _wecom_harmless, _wecom_write, _wecom_send),
    "webhook": Kind("", _webhook_reach, _only_text, _plain, _webhook_write, _webhook_send),
}
