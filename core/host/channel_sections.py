"""The section [channels.<slug>] of plugins.toml: how people are reached, each kind of channel with its own keys.

Public: `check_channels(document, faults, place)` returns canonical JSON; `channel_settings(slug, item)` types one.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Mapping
from email.errors import MessageError
from email.headerregistry import Address
from typing import Any

import marshmallow as ma

from core.host.every_fault import load_table
from core.host.faults import Faults
from core.host.field_checks import secret_reference, web_address
from core.host.settings import ChannelSettings
from core.model.choices import OneOf
from core.model.errors import did_you_mean

LANGUAGES = ("zh", "en")
_SLUG = re.compile(r"^[a-z0-9][a-z0-9_-]{0,62}$")
_RATE = re.compile(r"^([1-9]\d{0,5})/(s|m|h|d)$")
_HOST = re.compile(r"^(?=.{1,253}$)[A-Za-z0-9:]([A-Za-z0-9.:_-]*[A-Za-z0-9])?$")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Rate(ma.fields.Field[list[float]]):
    """How many messages in which time, such as "20/m"; kept as the number and the seconds."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[float]:
        match = _RATE.match(value) if isinstance(value, str) else None
        if match is None:
            raise ma.ValidationError('Not a rate: a number of messages in a second, minute, hour or day, as "20/m".')
        return [int(match[1]), _SECONDS[match[2]]]


def _host(value: str) -> None:
    if not _HOST.match(value):
        raise ma.ValidationError("Not the name or address of a host, such as smtp.example.com.")


def _mailbox(value: str) -> None:
    try:
        fits = bool(Address(addr_spec=value).domain) and value.isascii()
    except (ValueError, IndexError, MessageError):  # what the parser raises for what is no address at all
        fits = False
    if not fits or not value.isprintable():
        raise ma.ValidationError("Not an e-mail address, such as outrigger@example.com.")


def _absolute(value: str) -> None:
    if not value.startswith("/"):
        raise ma.ValidationError("An absolute path, such as /etc/ssl/private-ca.pem.")


def _text(**options: Any) -> ma.fields.String:
    return ma.fields.String(validate=ma.validate.Length(min=1, max=200), **options)


class ChannelSchema(ma.Schema):
    """The keys every channel has."""

    kind = ma.fields.String(required=True)
    language = ma.fields.String(load_default=None, validate=OneOf(LANGUAGES))
    fallback = ma.fields.Boolean(load_default=False, truthy={True}, falsy={False})
    links = ma.fields.Boolean(truthy={True}, falsy={False})  # whether messages with a link for one person may go here
    rate = Rate()


class SmtpSchema(ChannelSchema):
    """E-mail by a mail server (RFC 5321), signed in where it asks for it."""

    links = ma.fields.Boolean(load_default=True, truthy={True}, falsy={False})
    rate = Rate(load_default=[60, 60.0])
    host = ma.fields.String(required=True, validate=_host)
    port = ma.fields.Integer(strict=True, load_default=None, validate=ma.validate.Range(1, 65535))
    security = ma.fields.String(load_default="starttls", validate=OneOf(("starttls", "tls", "none")))
    username = _text(load_default=None)
    password = ma.fields.String(load_default=None, validate=secret_reference)
    sender = ma.fields.String(required=True, validate=_mailbox)
    sender_name = _text(load_default="Outrigger")
    reply_to = ma.fields.String(load_default=None, validate=_mailbox)
    ca_file = ma.fields.String(load_default=None, validate=_absolute)
    timeout = ma.fields.Float(load_default=15.0, validate=ma.validate.Range(0.1, 40))

    @ma.validates_schema
    def sign_in(self, data: dict[str, Any], **_: Any) -> None:
        """Ask for name and password together."""
        if bool(data.get("username")) != bool(data.get("password")):
            raise ma.ValidationError("A username needs a password and a password a username.", "username")

    @ma.post_load
    def usual_port(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Take the port that goes with the security (RFC 8314) where none is given."""
        usual = {"starttls": 587, "tls": 465, "none": 25}
        return {**data, "port": data["port"] or usual[data["security"]]}


class WecomBotSchema(ChannelSchema):
    """A 企业微信 group robot. Its address holds its key, so it is a secret and never stands in the file."""

    links = ma.fields.Boolean(load_default=False, truthy={True}, falsy={False})
    rate = Rate(load_default=[20, 60.0])
    url = ma.fields.String(required=True, validate=secret_reference)
    mention = ma.fields.Boolean(load_default=True, truthy={True}, falsy={False})
    format = ma.fields.String(load_default="markdown", validate=OneOf(("markdown", "text")))


class WebhookSchema(ChannelSchema):
    """A signed webhook by Standard Webhooks to a system of one's own that passes messages on to people."""

    links = ma.fields.Boolean(load_default=True, truthy={True}, falsy={False})
    rate = Rate(load_default=None)
    url = ma.fields.String(required=True, validate=web_address)
    secret = ma.fields.String(load_default=None, validate=secret_reference)


SCHEMAS: dict[str, type[ChannelSchema]] = {"smtp": SmtpSchema, "wecom_bot": WecomBotSchema, "webhook": WebhookSchema}
_COMMON = ("kind", "rate", "language", "fallback")


def check_channels(document: Mapping[str, Any], faults: Faults, place: Callable[..., str]) -> dict[str, Any]:
    """Return the channels in the order of the file, as canonical JSON; every fault goes to `faults` with its place."""
    tables = document.get("channels", {})
    if not isinstance(tables, Mapping):
        faults.add(place("channels"), "must be a table: [channels.<name>]")
        return {}
    channels: dict[str, Any] = {}
    for slug, table in tables.items():
        where = f"channels.{slug}"
        if not _SLUG.match(slug):
            message = f'"{slug[:80]}" is no name: lower-case letters, digits, `_` and `-`, at most 63 of them'
            faults.add(place("channels"), message)
        elif not isinstance(table, Mapping):
            faults.add(place(where), f"must be a table: [{where}]")
        else:
            item = _load(table, where, faults, place)
            channels[slug] = item
            if item and item["options"].get("security") == "none":
                _check_plain(item["options"]["host"], document, faults, place(f"{where}.security"))
    fallbacks = [slug for slug, item in channels.items() if item.get("fallback")]
    for slug in fallbacks[1:]:
        message = f"{fallbacks[0]} is the fallback already; one channel takes what no other can."
        faults.add(place(f"channels.{slug}.fallback"), message)
    return channels


def _load(table: Mapping[str, Any], where: str, faults: Faults, place: Callable[..., str]) -> dict[str, Any]:
    """Return one channel, or an empty table when it has faults."""
    kind = table.get("kind")
    schema_class = SCHEMAS.get(kind) if isinstance(kind, str) else None
    if schema_class is None:
        said = "is missing" if kind is None else f'"{str(kind)[:40]}" is no kind of channel'
        near = did_you_mean(kind, SCHEMAS) if isinstance(kind, str) else ""
        faults.add(place(f"{where}.kind"), f"{said}.{near} Known: {', '.join(SCHEMAS)}.")
        return {}
    schema = schema_class()
    loaded = load_table(schema, table)
    for path, message, key in loaded.faults:
        faults.add(place(f"{where}.{path}" if path else where, f"{where}.{key}"), message)
    if loaded.faults:
        return {}
    options = {key: value for key, value in loaded.value.items() if key not in _COMMON}
    return {**{key: loaded.value[key] for key in _COMMON}, "options": options}


def _check_plain(host: str, document: Mapping[str, Any], faults: Faults, where: str) -> None:
    """Refuse mail in clear text to a literal address outside; a name is looked up and judged when mail is sent."""
    allowed = _networks(document)
    try:
        address = ipaddress.ip_address(host)
        fits = any(address.version == network.version and address in network for network in allowed)
    except ValueError:
        fits = bool(allowed)
    if not fits:
        message = (
            'sends mail unencrypted, which is for a server of your own alone. Use "starttls" or "tls", or name the'
            " server's network in `egress_allow` under [dispatch]."
        )
        faults.add(where, message)


def _networks(document: Mapping[str, Any]) -> list[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Return the networks of `egress_allow` that can be read; the others are another section's fault."""
    table = document.get("dispatch", {})
    listed = table.get("egress_allow", []) if isinstance(table, Mapping) else []
    found = []
    for text in listed if isinstance(listed, list) else []:
        try:
            found.append(ipaddress.ip_network(text))
        except (ValueError, TypeError):
            continue
    return found


def channel_settings(slug: str, item: Mapping[str, Any]) -> ChannelSettings:
    """Return the typed settings of a channel from its JSON values."""
    rate = item["rate"]
    return ChannelSettings(
        slug=slug,
        kind=item["kind"],
        options=dict(item["options"]),
        rate=(int(rate[0]), float(rate[1])) if rate else None,
        language=item["language"],
        is_fallback=item["fallback"],
    )
