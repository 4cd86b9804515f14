"""The field with which settings name event types."""

from __future__ import annotations

import marshmallow as ma
import pytest

from core.api import EventTypeField
from core.model.events import EVENT_TYPES


@pytest.mark.parametrize("name", [*EVENT_TYPES, "quote_approval.decided", "my_plugin.noticed"])
def test_every_type_of_outrigger_and_any_of_a_plugin_is_taken(name: str) -> None:
    assert EventTypeField().deserialize(name) == name


@pytest.mark.parametrize(
    ("name", "near"),
    [("complaint.opend", "complaint.opened"), ("lead.creatd", "lead.created"), ("x", None),
     ("Lead.created", "lead.created"), ("timer.over", None)],
)  # fmt: skip
def test_a_misspelt_type_is_refused_with_the_nearest(name: str, near: str | None) -> None:
    with pytest.raises(ma.ValidationError, match="There is no event type") as caught:
        EventTypeField().deserialize(name)
    assert near is None or f'Did you mean "{near}"' in str(caught.value)
