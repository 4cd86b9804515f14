"""The marshmallow field with which settings take spans of time."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from core.model.spans import Span, parse_span


class SpanField(ma.fields.Field[Span]):
    """A span of time such as "24h", "3 days" or "8 working hours", read into a `Span`.

    With `elapsed_only` working time is refused, for settings that no calendar belongs to, and a number is seconds.
    Elsewhere a number alone is refused: whoever writes 24 may mean hours.
    """

    def __init__(self, *, elapsed_only: bool = False, **options: Any) -> None:
        super().__init__(**options)
        self.elapsed_only = elapsed_only

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Span:
        if not self.elapsed_only and isinstance(value, int | float):
            raise ma.ValidationError(f'must be text with a unit of time, such as "24h" or "3 days"; it is {value}')
        try:
            span = parse_span(value)
        except ValueError as error:
            raise ma.ValidationError(str(error)) from None
        if self.elapsed_only and span.working:
            raise ma.ValidationError('Working time has no meaning here; write elapsed time, such as "15m" or "24h".')
        return span

    def _serialize(self, value: Span | None, attr: str | None, obj: Any, **kwargs: Any) -> str | None:
        return None if value is None else str(value)
