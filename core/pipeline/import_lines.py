"""Reads files of historical events, one JSON body a line, and gives them back in the order of their times."""

from __future__ import annotations

import stat
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Self

from core.model import strict_json
from core.model.errors import InvalidRequest, ItemRejected, UnreadableBody, did_you_mean
from core.model.events import Origin
from core.model.inbound import InboundEvent, RejectedItem, body_digest
from core.model.instants import to_micros
from core.model.standard_body import standard_event

MAX_LINE = 1024 * 1024
"""The longest line that is read, in bytes; as long as the longest webhook body."""

MOST_OPEN = 64
"""How many files are open at once; a process may open some hundred, and the database needs some of them."""

MAX_KEPT = 64 * 1024
"""How much of a refused line is kept, in bytes."""

FILE_KEY, LINE_KEY = "import-file", "import-line"
"""Under these a refused line says where it stood."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One line that did not become an event, and why."""

    file: str
    line: int
    reason: str
    raw: str
    source: str

    def item(self) -> RejectedItem:
        """Return the line as it is kept in the database."""
        digest = body_digest(self.raw.encode())
        return RejectedItem(
            source=self.source,
            dedupe_key=f"import:{self.file}:{self.line}:{digest}",
            raw=self.raw,
            reason=self.reason,
            body_hash=digest,
            headers={FILE_KEY: self.file, LINE_KEY: str(self.line)},
        )


@dataclass(frozen=True, slots=True)
class Line:
    """One line in its place: the event, and where it stood."""

    file: str
    number: int
    size: int  # in bytes
    kept: bytes  # its first MAX_KEPT bytes; of a long line the event alone takes memory enough
    event: InboundEvent

    def refused(self, reason: str) -> Refusal:
        """Return this line as one that was refused after all."""
        return Refusal(self.file, self.number, reason, _shown(self.kept), self.event.source)


@dataclass(slots=True)
class ImportFiles:
    """The files of one import. `scan` checks every line; `in_order` then reads those that fit by their time.

    Between the two only places are kept in memory (some 100 bytes a line), so files may be larger than memory.
    Lines of the same time come in the order in which they stand.
    """

    paths: Sequence[Path]
    sources: Sequence[str]
    default_source: str | None = None
    read: int = 0
    refusals: list[Refusal] = field(default_factory=list)
    types: Counter[str] = field(default_factory=Counter)
    _places: list[tuple[int, int, int, int]] = field(default_factory=list)  # micros, file, line, offset

    def scan(self) -> None:
        """Read and check every line. Raises InvalidRequest for a file that cannot be read, or not twice."""
        check_files(self.paths)
        for index, path in enumerate(self.paths):
            try:
                with path.open("rb") as stream:
                    self._scan_file(index, path.name, stream)
            except OSError as error:
                raise _unreadable(path, error) from None
        self._places.sort()

    @property
    def first_at(self) -> int | None:
        """The earliest time in microseconds since 1970, or None when no line fits."""
        return self._places[0][0] if self._places else None

    @property
    def fitting(self) -> int:
        """How many lines are events."""
        return len(self._places)

    def in_order(self) -> Iterator[Line]:
        """Yield the lines that are events, earliest first. Raises InvalidRequest for a file that is gone since."""
        with _OpenFiles(self.paths) as streams:
            for _, index, number, offset in self._places:
                stream = streams.get(index)
                stream.seek(offset)
                raw = stream.readline(MAX_LINE + 1).strip()
                yield Line(self.paths[index].name, number, len(raw), raw[:MAX_KEPT], self._event(raw))

    def _scan_file(self, index: int, name: str, stream: BinaryIO) -> None:
        offset, number = 0, 0
        while raw := stream.readline(MAX_LINE + 1):
            number += 1
            start = offset
            if len(raw) > MAX_LINE:
                _skip_rest(stream, raw)
            offset = stream.tell() if len(raw) > MAX_LINE else offset + len(raw)
            raw = raw.strip()
            if not raw:
                continue
            self.read += 1
            try:
                event = self._event(raw)
            except (ItemRejected, UnreadableBody) as error:
                source = self.default_source or (self.sources[0] if self.sources else "import")
                self.refusals.append(Refusal(name, number, error.message, _shown(raw[:MAX_KEPT]), source))
            else:
                self.types[event.type] += 1
                self._places.append((to_micros(event.occurred_at), index, number, start))

    def _event(self, raw: bytes) -> InboundEvent:
        if len(raw) > MAX_LINE:
            raise ItemRejected(f"The line is longer than {MAX_LINE:,} bytes.")
        body = strict_json.loads(raw)
        if not isinstance(body, dict):
            raise ItemRejected("The line is no JSON object.")
        identity = body.get("id")
        if identity is not None and not (isinstance(identity, str) and 1 <= len(identity) <= 200):
            raise ItemRejected("id: the id of the message, a text of 1 to 200 characters.")
        digest = body_digest(raw)
        event = standard_event(
            body,
            source=self._source(body),
            # A line without an id is the same event as another with the same text.
            dedupe_key=identity or f"line:{digest}",
            body_hash=digest,
            origin=Origin.IMPORT,
        )
        return replace(event, outward=False)

    def _source(self, body: Mapping[str, Any]) -> str:
        said = body.get("source", self.default_source)
        if said is None:
            raise ItemRejected('The line names no "source", and several are configured; name one with --source.')
        if not isinstance(said, str) or said not in self.sources:
            shown = said[:80] if isinstance(said, str) else said
            hint = did_you_mean(shown, self.sources) if isinstance(shown, str) else ""
            raise ItemRejected(f'source: "{shown}" is no configured source.{hint}')
        return said


class _OpenFiles:
    """Files that are opened when they are first read; of too many, the one not read for longest is closed."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self._streams: OrderedDict[int, BinaryIO] = OrderedDict()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        while self._streams:
            self._streams.popitem()[1].close()

    def get(self, index: int) -> BinaryIO:
        if index not in self._streams:
            if len(self._streams) >= MOST_OPEN:
                self._streams.popitem(last=False)[1].close()
            try:
                self._streams[index] = self._paths[index].open("rb")
            except OSError as error:
                raise _unreadable(self._paths[index], error) from None
        self._streams.move_to_end(index)
        return self._streams[index]


def check_files(paths: Sequence[Path]) -> None:
    """Look whether each path is a file that can be read, before anything is made for an import.

    Raises InvalidRequest naming the first that is not, with what to do instead.
    """
    for path in paths:
        try:
            mode = path.stat().st_mode
            if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
                raise InvalidRequest(
                    f"{path} is no file but a pipe or a device, and an import reads its lines twice, the second time "
                    "in the order of their times. Write them to a file first, such as history.jsonl, and import that."
                )
            path.open("rb").close()
        except OSError as error:
            raise _unreadable(path, error) from None


def _unreadable(path: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(f"{path} cannot be read: {error.strerror}.")


def earliest(files: ImportFiles, otherwise: datetime) -> int:
    """Return when an import begins, in microseconds: at its first event, or `otherwise` when no line fits."""
    return to_micros(otherwise) if files.first_at is None else files.first_at


def _shown(raw: bytes) -> str:
    return raw.decode(errors="replace").replace("\x00", "\ufffd")


def _skip_rest(stream: BinaryIO, raw: bytes) -> None:
    """Read to the end of a line that is too long."""
    while raw and not raw.endswith(b"\n"):
        raw = stream.readline(MAX_LINE)
