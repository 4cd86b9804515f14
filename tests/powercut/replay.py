"""Rebuilds what a disk may hold after a power cut: what was synced, and of the rest whatever chance left there."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_HEAD = struct.Struct("<cIQQ")
SECTOR = 512


@dataclass(frozen=True, slots=True)
class Operation:
    """One recorded call: (W)rite, (T)runcate, (b)egin of a sync, (S)ynced, (U)nlink, (C)reate, (A)cknowledged."""

    what: str
    path: str  # of an acknowledgement: the event's id
    offset: int = 0
    length: int = 0
    data: bytes = b""


def read_log(path: Path) -> list[Operation]:
    """Read the record."""
    raw = path.read_bytes()
    found, at = [], 0
    while at < len(raw):
        what, path_length, offset, number = _HEAD.unpack_from(raw, at)
        at += _HEAD.size
        name = raw[at : at + path_length].decode()
        at += path_length
        data = b""
        if what == b"W":
            data = raw[at : at + number]
            at += number
        found.append(Operation(what.decode(), name, offset, number, data))
    return found


@dataclass(slots=True)
class _File:
    """A file: what is surely on the disk, and what was done since."""

    durable: bytearray = field(default_factory=bytearray)
    since: list[Operation] = field(default_factory=list)
    syncing: list[int] = field(default_factory=list)  # how many of `since` each running sync covers


def _apply(content: bytearray, operation: Operation, length: int | None = None) -> None:
    if operation.what == "T":
        if operation.length <= len(content):
            del content[operation.length :]
        else:
            content.extend(bytes(operation.length - len(content)))
        return
    data = operation.data if length is None else operation.data[:length]
    end = operation.offset + len(data)
    if end > len(content):
        content.extend(bytes(end - len(content)))
    content[operation.offset : end] = data


class Disk:
    """Follows the record and can say at any point what a power cut might leave."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._names: dict[str, _File] = {}  # what the folder shows now
        self._durable_names: dict[str, _File] = {}  # what it surely shows after a power cut
        self._syncing: list[dict[str, _File]] = []
        self.acknowledged: list[str] = []

    def follow(self, operation: Operation) -> None:
        """Take one more recorded call into account."""
        if operation.what == "A":
            self.acknowledged.append(operation.path)
        elif operation.path == self._folder:
            if operation.what == "b":
                self._syncing.append(dict(self._names))
            elif operation.what == "S" and self._syncing:
                self._durable_names = self._syncing.pop(0)
        elif operation.what == "U":
            self._names.pop(operation.path, None)
        else:
            self._follow_file(self._names.setdefault(operation.path, _File()), operation)

    def _follow_file(self, file: _File, operation: Operation) -> None:
        if operation.what in "WT":
            file.since.append(operation)
        elif operation.what == "b":
            file.syncing.append(len(file.since))
        elif operation.what == "S" and file.syncing:
            covered = file.syncing.pop(0)
            for done in file.since[:covered]:
                _apply(file.durable, done)
            del file.since[:covered]
            file.syncing = [max(0, count - covered) for count in file.syncing]

    def image(self, chance: random.Random) -> Iterator[tuple[str, bytearray]]:
        """Yield (path, content) of every file a power cut now might leave.

        Of what was not synced each write is there with probability 1/2, one in five of those torn at a sector's edge;
        a file's name that was made or removed since the folder was synced is there or not, as chance has it.
        """
        for path in sorted({*self._names, *self._durable_names}):
            now, before = self._names.get(path), self._durable_names.get(path)
            file = now if now is before or chance.random() < 0.5 else before
            if file is None:
                continue
            content = bytearray(file.durable)
            for operation in file.since:
                if chance.random() < 0.5:
                    continue
                torn = operation.what == "W" and chance.random() < 0.2
                sectors = len(operation.data) // SECTOR
                _apply(content, operation, chance.randrange(sectors + 1) * SECTOR if torn else None)
            yield path, content


def cut_points(operations: Sequence[Operation], images: int, chance: random.Random) -> list[int]:
    """Choose where to cut: anywhere after the first acknowledgement, in rising order."""
    first = next((index for index, operation in enumerate(operations) if operation.what == "A"), 0)
    return sorted(chance.randrange(first, len(operations) + 1) for _ in range(images))
