"""Writes small files in the shape of a set and maps them, so that tests need none of the real sets."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.model.standard_body import standard_event
from deploy.replay.book import Book
from deploy.replay.play import all_sets
from deploy.replay.rows import Files

Rows = Sequence[Mapping[str, str]]


def write_set(folder: Path, files: Mapping[str, Rows]) -> Path:
    """Write the files of a set, `open/…` and those beside it; return its folder."""
    for name, rows in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        columns = list(dict.fromkeys(key for row in rows for key in row))
        with gzip.open(path, "wt", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, columns, restval="")
            writer.writeheader()
            writer.writerows(rows)
    return folder


def map_set(folder: Path, name: str, files: Mapping[str, Rows]) -> tuple[Book, list[dict[str, Any]]]:
    """Map a set of these files; return the counts and the lines, each checked as the importer checks it."""
    out, book = io.StringIO(), Book()
    data = all_sets()[name]
    book.write(data, Files(write_set(folder, files)), out)
    lines = [json.loads(text) for text in out.getvalue().splitlines()]
    for body in lines:
        standard_event(body, source=name, dedupe_key=body["id"])
    assert book.read == book.accepted + book.refused.total()
    return book, lines


def told(lines: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """Return type, record and time of each line."""
    return [(line["type"], line["data"]["id"], line["timestamp"]) for line in lines]
