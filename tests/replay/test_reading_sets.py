"""Reading the files of a set: cells, limits, missing tools, and a source for every set."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from deploy.replay.play import CONFIG, all_sets
from deploy.replay.rows import Files, RefusedRow, ToolMissing, amount, figures, instant
from tests.replay.mapping_kit import write_set


def test_a_parquet_file_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr("deploy.replay.rows.importlib.import_module", missing)
    with pytest.raises(ToolMissing, match="pip install -r deploy/replay/requirements"):
        next(Files(tmp_path).parquet("x.parquet"))


def test_cells_are_read_strictly():
    assert amount(" 12.345 ") == "12.34"
    assert amount("") is None
    assert figures([("a", "1.5"), ("b", ""), ("c", "nan")]) == {"a": 1.5}
    for cell, reason in (("", "no time"), ("soon", "another form"), ("1948-01-01", "absurd year")):
        with pytest.raises(RefusedRow, match=reason):
            instant(cell)
    for cell in ("many", "NaN", "1e999999"):
        with pytest.raises(RefusedRow, match="no number"):
            amount(cell)


def test_only_so_many_rows_of_each_file_are_read(tmp_path):
    write_set(tmp_path, {"open/leads.csv.gz": [{"a": str(number)} for number in range(5)]})
    files = Files(tmp_path, limit=2)
    assert [row["a"] for row in files.rows("leads.csv.gz")] == ["0", "1"]
    assert files.seen == {"leads.csv.gz": 2}


def test_every_set_has_a_source_and_its_unit_in_the_configuration():
    document = tomllib.loads(CONFIG.read_text(encoding="utf-8"))
    sources = {name: source["unit"] for name, source in document["sources"].items()}
    assert sources == {name: data.unit for name, data in all_sets().items()}
    assert set(sources.values()) <= set(document["units"])
