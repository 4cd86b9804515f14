"""The marshmallow field with which settings name event types."""

from __future__ import annotations

import re
from typing import Any

import marshmallow as ma

from core.model.errors import did_you_mean
from core.model.events import EVENT_TYPES

_SHAPE = re.compile(r"[a-z][a-z0-9_]*\.[a-z][a-z0-9_]*\Z")
_PREFIXES = frozenset(name.partition(".")[0] for name in EVENT_TYPES)


class EventTypeField(ma.fields.String):
    """An event type: one of Outrigger's own such as "lead.created", or a plugin's such as "quote_approval.decided".

    A misspelt one would be waited for in vain, so it is refused with the nearest name. Whether a plugin emits a type
    is not known here.
    """

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> str:
        text = str(super()._deserialize(value, attr, data, **kwargs))
        if text in EVENT_TYPES:
            return text
        if not _SHAPE.match(text) or text.partition(".")[0] in _PREFIXES:
            raise ma.ValidationError(f'There is no event type "{text[:80]}".{did_you_mean(text, EVENT_TYPES)}')
        return text
