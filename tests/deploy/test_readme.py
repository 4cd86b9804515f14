"""deploy/README.md against the product: figures that are computed, commands, metrics and log lines that exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.cli.main import COMMANDS
from core.store.database import sqlite_module

PROJECT = Path(__file__).resolve().parents[2]
TEXT = (PROJECT / "deploy" / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
SOURCES = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "core").rglob("*.py"))


def sizing() -> dict[str, Any]:
    namespace: dict[str, Any] = {}
    exec(compile(next(block for block in BLOCKS if "def plan" in block), "deploy/README.md", "exec"), namespace)
    return namespace


def test_every_plan_in_the_table_is_what_the_figures_give() -> None:
    plan, found = sizing()["plan"], re.findall(r"`plan\((.+?)\)` → ([^|]+?) \|", TEXT)
    assert len(found) == 3
    for call, told in found:
        given = eval(f"plan({call})", {"plan": plan})
        said = f"{given['workers']:.0f} worker" + ("s" if given["workers"] > 1 else "")
        webs = f"{given['webs']:.0f} web" + ("s" if given["webs"] > 1 else "")
        assert told == (
            f"{given['busiest_events_per_s']} events/s at the peak, {webs}, {said}, {given['disk_gb']} GB, of which"
            f" {given['id_index_gb']} GB id index"
        )


def test_the_figures_are_those_of_the_last_full_run() -> None:
    bench = (PROJECT / "tests" / "README.md").read_text(encoding="utf-8")
    both = re.search(r"committed effects per event \| ([\d,]+)/s \| ([\d,]+)/s", bench)
    assert both is not None
    rates = [int(text.replace(",", "")) for text in both.groups()]
    assert list(sizing()["EVENTS_PER_S"].values()) == rates, "deploy/README.md names older figures than tests/README.md"


def test_containers_get_their_configuration_before_anything_waits_for_webs_that_are_ready() -> None:
    first_start = re.search(r"^cp \.env\.example .*?^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert first_start is not None
    steps = re.findall(r"^docker compose (?:run --rm )?([a-z]+(?: config apply)?)", first_start[0], re.MULTILINE)
    assert steps == ["migrate", "cli config apply", "up", "cli"]


def test_the_disk_of_an_event_is_that_of_the_last_footprint() -> None:
    said = (PROJECT / "tests" / "README.md").read_text(encoding="utf-8").partition("`make footprint`: of")[2]
    four = [
        int(number.replace(",", "")) for number in re.findall(r"\b\d{1,3},\d{3}\b", said.partition("SQLite")[2])[:4]
    ]
    assert sizing()["DISK_PER_EVENT"] == {"sqlite": sum(four[:2]), "postgresql": sum(four[2:])}


def test_the_copy_of_an_sqlite_database_is_whole(tmp_path: Path) -> None:
    sqlite = sqlite_module()
    if sqlite.__name__.partition(".")[0] != "pysqlite3":
        pytest.skip("needs pysqlite3, as the text says")
    live, copy = tmp_path / "live.sqlite3", tmp_path / "copy.sqlite3"
    writer = sqlite.connect(live, isolation_level=None)
    writer.execute("PRAGMA journal_mode=wal")
    writer.execute("CREATE TABLE things (n INTEGER)")
    writer.execute(
        "INSERT INTO things WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c LIMIT 5000) SELECT n FROM c"
    )
    script = next(block for block in BLOCKS if "backup" in block)
    subprocess.run([sys.executable, "-c", script, live, copy], check=True, timeout=60)
    writer.close()
    reader = sqlite.connect(copy)
    assert reader.execute("SELECT count(*) FROM things").fetchone() == (5000,)
    reader.close()


def test_every_metric_of_an_alert_exists() -> None:
    metrics = set(re.findall(r"\boutrigger_[a-z_]+\b", TEXT))
    known = set(re.findall(r"\"(outrigger_[a-z_]+)\"", (PROJECT / "core" / "metrics.py").read_text(encoding="utf-8")))
    assert metrics and metrics <= known, metrics - known


def test_every_target_of_make_exists() -> None:
    targets = set(re.findall(r"`make ([a-z-]+)", TEXT))
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in targets)


def test_every_outrigger_command_in_code_is_one() -> None:
    found = [
        name for code in _code() for name in re.findall(r"(?:outrigger-ctl|cli|`outrigger|^outrigger) ([a-z]+)\b", code)
    ]
    assert len(found) > 6
    assert [name for name in found if name not in COMMANDS] == []


def _code() -> list[str]:
    blocks = re.findall(r"^```\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()] + re.findall(r"`[^`\n]+`", TEXT)


def test_every_log_line_of_an_alert_is_written_by_the_product() -> None:
    told = re.search(r"Alert on (.+?)\.", TEXT, re.DOTALL)
    assert told is not None
    names = re.findall(r"`(\w+)`", told.group(1))
    assert len(names) == 4
    assert [name for name in names if f'"{name}"' not in SOURCES] == []
