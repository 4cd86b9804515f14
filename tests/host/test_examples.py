"""An example event brings what it needs to `plugins check`: other records, and settings other than the defaults."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from core.host.discovery import load_plugins
from core.host.scaffold import write_plugin
from core.testing.examples import run_examples

NAME = "host_brings"


def fault(root: Path, example: dict[str, Any]) -> str | None:
    """Return what is wrong with a plugin whose only example is this."""
    place = root / NAME / "tests" / "events"
    for old in place.glob("*.json"):
        old.unlink()
    (place / "one.json").write_text(json.dumps({"type": "lead.created", **example}))
    return run_examples(load_plugins([root], with_entry_points=False)[NAME])


def test_a_message_that_only_a_setting_brings_about_is_filled_in(plugin_root: Path) -> None:
    folder = write_plugin(plugin_root, NAME, owner="tests")
    (folder / "templates" / "large_lead.en.txt").write_text("Subject: {{ laed }}\n{{ lead }}\n")
    large = {"data": {"id": "L-1", "annual_volume": "1200"}}
    assert fault(plugin_root, large) == ""
    assert "'laed' is undefined" in str(fault(plugin_root, {**large, "config": {"desk": "li_na"}}))


def test_another_record_that_the_handler_asks_for_is_known(plugin_root: Path) -> None:
    folder = write_plugin(plugin_root, NAME, owner="tests")
    handler = folder / "plugin.py"
    handler.write_text(handler.read_text().replace(
        "    volume, line =",
        '    assert ctx.records.get("customer", event.record.customer_id).region == "华东", "of another region"\n'
        "    volume, line =",
    ))  # fmt: skip
    lead = {"data": {"id": "L-1", "customer_id": "C-1"}}
    assert "NoneType" in str(fault(plugin_root, lead))
    for region, said in (("华东", ""), ("华南", "of another region")):
        records = {"customer": [{"id": "C-1", "region": region}]}
        assert said in str(fault(plugin_root, {**lead, "records": records}))
