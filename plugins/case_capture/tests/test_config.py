"""Settings: the defaults work, and what is wrong is refused with its name."""

from __future__ import annotations

import marshmallow as ma
import pytest

from plugins.case_capture.config import Config, ConfigSchema


def test_no_settings_at_all_are_fine():
    assert ConfigSchema().load({}) == Config()


def test_every_setting_describes_itself_and_has_the_same_default_twice():
    for name, field in ConfigSchema().fields.items():
        assert field.metadata["description"].endswith(".")
        assert field.load_default == getattr(Config(), name)


def test_settings_are_taken_over():
    loaded = ConfigSchema().load(
        {"capture": ["complaint", "complaint"], "max_suggestions": 5, "notify_role": "service"}
    )
    assert loaded.capture == ("complaint",)
    assert loaded.max_suggestions == 5
    assert loaded.notify_role == "service"


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"captur": []}, "captur"),
        ({"capture": ["lost"]}, "capture"),
        ({"capture": "complaint"}, "capture"),
        ({"suggest": "yes"}, "suggest"),
        ({"suggest_from": "everyone"}, "suggest_from"),
        ({"max_suggestions": 0}, "max_suggestions"),
        ({"max_suggestions": "3"}, "max_suggestions"),
        ({"suggestion_similarity": 1.5}, "suggestion_similarity"),
        ({"duplicate_similarity": -1}, "duplicate_similarity"),
        ({"duplicate_similarity": float("nan")}, "duplicate_similarity"),
        ({"language": "fr"}, "language"),
        ({"notify_role": ""}, "notify_role"),
    ],
)
def test_a_wrong_setting_is_refused_by_its_name(values, path):
    with pytest.raises(ma.ValidationError) as caught:
        ConfigSchema().load(values)
    assert path in caught.value.messages
