"""Fills in what a plugin tells people, as the server does when it makes the message."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.egress.wording import plain
from core.pipeline.templates import Trusted, fill
from core.testing.events import NOW
from core.time.built_in import DEFAULT_ZONE

RECORD = {"source": "crm", "kind": "lead", "id": "L-1"}
LINK = "https://crm.example.com/pages/decide/token"


def filled(
    folder: Path,
    template: str,
    data: Mapping[str, Any],
    *,
    language: str = "zh",
    link: bool = False,
    record: Mapping[str, str] | None = None,
    ending: str = "txt",
) -> str:
    """Return the message of a `Notify` of the plugin in `folder`: its subject, a new line, its text.

    `link` says whether the effect has one; `ending` is `md` for channels that show markdown. Raises EffectRefused
    naming the file and the variable that is missing.
    """
    values: dict[str, Any] = {
        **data,
        "record": dict(record or RECORD),
        "unit": "default",
        "person": {"slug": "li_na", "name": "李娜"},
        "now": NOW,
    }
    values.pop("link", None)
    if link:
        values["link"] = Trusted(LINK)
    made = fill(
        folder, template, language=language, zone=DEFAULT_ZONE, endings=(ending,), harmless=plain, values=values
    )  # fmt: skip
    return f"{made.subject}\n{made.text}"
