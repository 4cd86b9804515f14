"""The load generator of the benchmarks, in a process of its own: one thread, one poll loop, requests built beforehand.

Run as `python -m tests.load.blast` with a JSON object of options (see `Options`) on standard input; it prints one JSON
object when it is done. Written to cost little, since it shares the machine with what it measures.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import subprocess
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from core.model.events import event_id
from tests.load.databases import Outside
from tests.load.wire import COMPLAINT, event_body, signed

PATH = "/webhooks/crm"
RECORDS = 1000  # one worker batch takes one event of a record, so too few records would hold it back


@dataclass(frozen=True, slots=True)
class Options:
    """What to send: as fast as `connections` allow, or `rate` a second whatever the answers do."""

    port: int
    name: str  # makes message ids unique
    connections: int = 16
    count: int = 0  # end after so many, or
    seconds: float = 0.0  # after so long
    rate: float = 0.0  # 0: every connection sends as soon as it has its answer
    watch: str = ""  # a database in which to look for the effects of every event
    effects: int = 3
    until_drained: str = ""  # a database: go on until nothing waits in it
    departments: int = 0  # spread the records over so many departments, D-0 and so on; 0: all are of one


def blast(options: Options) -> dict[str, Any]:
    """Run the generator in a process of its own and return what it measured."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.load.blast"],
        input=json.dumps(asdict(options)), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"the load generator failed:\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _requests(options: Options, number: int) -> list[bytes]:
    made = []
    for index in range(number):
        record = index % RECORDS
        fields = {**COMPLAINT, "batch": f"B{index % 97}"}
        if options.departments:
            fields["department"] = f"D-{record % options.departments}"
        body = event_body("complaint.replied", f"R-{record}", index, index, **fields)
        made.append(signed(PATH, f"{options.name}-{index}", body))
    return made


class _Line:
    """One connection and the request it carries."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.request = -1
        self.awaits_answer = False
        self.connect()

    def connect(self) -> None:
        """Open the connection, or a new one in its place."""
        self.socket = socket.create_connection(("127.0.0.1", self._port), timeout=20)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answered = 0
        self._buffer = b""

    def send(self, request: int, data: bytes) -> None:
        self.request, self.awaits_answer = request, True
        self.socket.sendall(data)

    def receive(self) -> int:
        """Read what is there; return the status when the answer is whole, else 0. Raises ConnectionError."""
        more = self.socket.recv(65536)
        if not more:
            raise ConnectionError("the server closed a connection")
        self._buffer += more
        buffer = self._buffer
        end = buffer.find(b"\r\n\r\n")
        if end < 0:
            return 0
        at = buffer.find(b"Content-Length: ", 0, end)
        if at < 0:
            at = buffer.find(b"content-length: ", 0, end)
        length = int(buffer[at + 16 : buffer.find(b"\r\n", at)]) if at >= 0 else 0
        if len(buffer) < end + 4 + length:
            return 0
        self._buffer = b""
        self.answered, self.awaits_answer = self.answered + 1, False
        return int(buffer[9:12])

    @property
    def is_lost(self) -> bool:
        """Whether the request it carries has no second chance: it was the connection's first, or is half answered."""
        return self.awaits_answer and (self.answered == 0 or bool(self._buffer))


class _Run:
    """One measurement: when each request was due, answered, and had its effects."""

    def __init__(self, options: Options) -> None:
        self.options = options
        number = options.count or int(options.seconds * (options.rate or 15_000)) + 1
        self.requests = _requests(options, number)
        self.lines = [_Line(options.port) for _ in range(options.connections)]
        self.poll = select.epoll()
        self.by_file = {line.socket.fileno(): line for line in self.lines}
        for file in self.by_file:
            self.poll.register(file, select.EPOLLIN)
        self.due: list[float] = []
        self.answered: dict[int, float] = {}
        self.statuses: Counter[int] = Counter()
        self.resent = 0
        self.idle = deque(self.lines)  # in turn, since a server closes a connection that says nothing for long

    def _send(self, line: _Line, request: int) -> None:
        try:
            line.send(request, self.requests[request])
        except ConnectionError as error:
            self._reconnect(line, error)

    def _receive(self, line: _Line) -> int:
        try:
            return line.receive()
        except ConnectionError as error:
            self._reconnect(line, error)
            return 0

    def _reconnect(self, line: _Line, error: ConnectionError) -> None:
        """Open a connection anew, which a server may close between two requests (RFC 9112, 9.3.1); ask once more."""
        if line.is_lost:
            raise error
        file = line.socket.fileno()
        self.poll.unregister(file)
        del self.by_file[file]
        line.socket.close()
        line.connect()
        self.by_file[line.socket.fileno()] = line
        self.poll.register(line.socket.fileno(), select.EPOLLIN)
        if line.awaits_answer:
            self.resent += 1
            line.send(line.request, self.requests[line.request])

    def closed(self) -> None:
        """Every connection sends the next request as soon as it has its answer."""
        options, requests = self.options, self.requests
        self.began = time.monotonic()
        until = self.began + options.seconds if options.seconds else float("inf")
        following = 0
        for line in self.lines:
            self._send(line, following)
            self.due.append(self.began)
            following += 1
        busy = len(self.lines)
        while busy:
            for file, _ in self.poll.poll(10):
                line = self.by_file[file]
                status = self._receive(line)
                if not status:
                    continue
                now = time.monotonic()
                self.answered[line.request] = now
                self.statuses[status] += 1
                if following < len(requests) and now < until:
                    self._send(line, following)
                    self.due.append(now)
                    following += 1
                else:
                    busy -= 1
        self.ended = time.monotonic()

    def opened(self, tick: Callable[[], bool]) -> None:
        """Send `rate` requests a second by the clock; `tick` is called every millisecond and says when to go on."""
        options = self.options
        self.began = time.monotonic()
        following = 0
        while True:
            now = time.monotonic()
            go_on = tick()
            wants_more = following < len(self.requests) if not options.until_drained else go_on
            while wants_more and following < len(self.requests) and self.idle:
                due = self.began + following / options.rate
                if due > now:
                    break
                self._send(self.idle.popleft(), following)
                self.due.append(due)
                following += 1
            if not wants_more and len(self.idle) == len(self.lines) and not go_on:
                break
            for file, _ in self.poll.poll(0.001):
                line = self.by_file[file]
                status = self._receive(line)
                if status:
                    self.answered[line.request] = time.monotonic()
                    self.statuses[status] += 1
                    self.idle.append(line)
        self.ended = time.monotonic()


class Watcher:
    """Looks in the database, about every millisecond, which events have all their effects.

    PostgreSQL gives out numbers before it commits: a row may become visible behind one with a higher number. So numbers
    that were passed over are looked for again, until whoever took them must have given up.
    """

    PASSED_OVER_S = 5.0

    def __init__(self, run: _Run, url: str, effects: int) -> None:
        self._outside = Outside(url)
        self._last = self._outside.one("SELECT coalesce(max(id), 0) FROM decisions")
        self._wanted = {event_id("crm", f"{run.options.name}-{index}"): index for index in range(len(run.requests))}
        self._count: Counter[str] = Counter()
        self._passed_over: dict[int, float] = {}
        self._effects = effects
        self.done: dict[int, float] = {}
        self._give_up = time.monotonic() + run.options.seconds + 20

    def tick(self) -> bool:
        """Look once; return whether effects are still to come."""
        rows = self._outside.rows("SELECT id, event_id FROM decisions WHERE id > ? ORDER BY id LIMIT 500", self._last)
        if self._passed_over:  # asked apart: together it would be a scan of the whole table
            again = ", ".join(map(str, self._passed_over))
            rows = [*self._outside.rows(f"SELECT id, event_id FROM decisions WHERE id IN ({again})"), *rows]
        if rows:
            now = time.monotonic()
            for row in rows:
                self._passed_over.pop(row[0], None)
                self._passed_over |= dict.fromkeys(range(self._last + 1, row[0]), now)
                self._last = max(self._last, row[0])
                self._count[row[1]] += 1
                if self._count[row[1]] == self._effects and row[1] in self._wanted:
                    self.done[self._wanted[row[1]]] = now
        elif self._passed_over:
            limit = time.monotonic() - self.PASSED_OVER_S
            self._passed_over = {number: since for number, since in self._passed_over.items() if since > limit}
        return len(self.done) < len(self._wanted) and time.monotonic() < self._give_up

    def close(self) -> None:
        """Close the connection."""
        self._outside.close()


class _Drain:
    """Says whether a backlog is still there; asked of the database ten times a second."""

    def __init__(self, url: str) -> None:
        self._outside, self._next, self._is_pending = Outside(url), 0.0, True

    def tick(self) -> bool:
        """Return whether something waits."""
        if time.monotonic() >= self._next:
            self._is_pending = self._outside.backlog() > 50
            self._next = time.monotonic() + 0.1
        return self._is_pending


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def main() -> None:
    """Read the options, send, print."""
    options = Options(**json.load(sys.stdin))
    run = _Run(options)
    gc.collect()
    gc.disable()
    watcher = Watcher(run, options.watch, options.effects) if options.watch else None
    if watcher is not None:
        run.opened(watcher.tick)
    elif options.until_drained:
        run.opened(_Drain(options.until_drained).tick)
    elif options.rate:
        run.opened(lambda: False)
    else:
        run.closed()
    answered = [(run.answered[index] - run.due[index]) * 1000 for index in run.answered]
    effects = [(at - run.due[index]) * 1000 for index, at in watcher.done.items()] if watcher else []
    took = run.ended - run.began
    print(
        json.dumps(
            {
                "sent": len(run.due),
                "statuses": run.statuses,
                "resent": run.resent,
                "began": run.began,
                "seconds": took,
                "per_s": run.statuses[202] / took,
                "ack_p50_ms": percentile(answered, 0.5),
                "ack_p99_ms": percentile(answered, 0.99),
                "effects": len(effects),
                "p50_ms": percentile(effects, 0.5),
                "p99_ms": percentile(effects, 0.99),
                "cpu_s": time.process_time(),
            }
        )
    )


if __name__ == "__main__":
    main()
