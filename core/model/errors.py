"""The tree of errors a person may meet; each has a stable code, and its docstring is the default message."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class OutriggerError(Exception):
    """Something went wrong inside Outrigger."""

    code = "outrigger.error"
    http_status = 500

    def __init__(self, message: str | None = None, *, errors: list[dict[str, str]] | None = None) -> None:
        self.message = message or (self.__doc__ or "").strip()
        self.errors = errors or []
        super().__init__(self.message)


class UnreadableBody(OutriggerError):
    """The request body cannot be read as the JSON this server accepts."""

    code = "webhook.unreadable"
    http_status = 400


class SignatureRefused(OutriggerError):
    """The request is not authentic: its signature, token or timestamp does not fit the source's secrets."""

    code = "webhook.signature"
    http_status = 401


class UnknownSource(OutriggerError):
    """No source of this name is configured."""

    code = "webhook.unknown_source"
    http_status = 404


class BodyTooLarge(OutriggerError):
    """The request body is larger than this server accepts."""

    code = "webhook.too_large"
    http_status = 413


class UnsupportedMediaType(OutriggerError):
    """The body's media type or encoding is not one this source accepts."""

    code = "webhook.media_type"
    http_status = 415


class StorageUnavailable(OutriggerError):
    """The event could not be stored durably; nothing was accepted. Send it again later."""

    code = "storage.unavailable"
    http_status = 503


class CommitUncertain(StorageUnavailable):
    """The database went away while this was stored; whether it was is not known. Look before you repeat it."""

    code = "storage.uncertain"


class ItemRejected(OutriggerError):
    """An authentic item does not map onto a canonical event; it is stored as rejected with this reason."""

    code = "event.rejected"
    http_status = 422


class ConfigurationRefused(OutriggerError):
    """The configuration has faults; nothing of it was applied."""

    code = "config.refused"
    http_status = 422


class ConfigurationConflict(OutriggerError):
    """The configuration was changed meanwhile; nothing was applied."""

    code = "config.conflict"
    http_status = 409


class PluginRefused(OutriggerError):
    """A plugin cannot be loaded; the others are not affected."""

    code = "plugin.refused"
    http_status = 409


class EffectRefused(OutriggerError):
    """A plugin returned something it may not ask for; the delivery failed and nothing of it was kept."""

    code = "plugin.effect_refused"


class NotFound(OutriggerError):
    """There is nothing of this name here, or it is not yours to see."""

    code = "not_found"
    http_status = 404


class Conflict(OutriggerError):
    """Somebody else was faster: the thing changed since you read it."""

    code = "conflict"
    http_status = 409


class ReplayCutOff(OutriggerError):
    """The replay ended half-way; what was replayed stays so, and the message says how far it came."""

    code = "replay.cut_off"


class LinkExpired(OutriggerError):
    """This link is no longer valid; ask for a new one."""

    code = "link.expired"
    http_status = 410


class LinkUsed(OutriggerError):
    """This link was used already; each decides once."""

    code = "link.used"
    http_status = 410


class InvalidRequest(OutriggerError):
    """The request's parameters or body do not fit; see errors."""

    code = "invalid_request"
    http_status = 422


class NotAuthenticated(OutriggerError):
    """An API key is needed: send it as `Authorization: Bearer <key>`."""

    code = "auth.required"
    http_status = 401


class NotAllowed(OutriggerError):
    """This API key may not do that."""

    code = "auth.forbidden"
    http_status = 403


class DatabaseNotReady(OutriggerError):
    """The database is not at the version this release needs; run `outrigger migrate`."""

    code = "database.not_ready"
    http_status = 503


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean "x"?` for the nearest known word, or an empty string when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f' Did you mean "{near[0]}"?' if near else ""


def printable(value: object, *, before: str = "", longest: int = 2000) -> str:
    """Return what a plugin said as text that every database can hold, even when it cannot say anything."""
    try:
        text = str(value)
    except Exception:
        text = "(an error whose text cannot be had)"
    return (before + text).replace("\x00", "\ufffd").encode("utf-8", "replace").decode()[:longest]
