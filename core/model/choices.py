"""A check that a value is one of a few words, which names the nearest right one."""

from __future__ import annotations

from typing import Any

import marshmallow as ma

from core.model.errors import did_you_mean


class OneOf(ma.validate.OneOf):
    """Accepts one of the `choices`; the fault lists them and says which one was probably meant."""

    def _format_error(self, value: Any) -> str:
        near = did_you_mean(value, [str(choice) for choice in self.choices]) if isinstance(value, str) else ""
        return f"Must be one of: {self.choices_text}.{near}"
