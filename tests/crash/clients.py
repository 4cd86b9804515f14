"""CRMs under way: clients that post signed events, repeat some, send some late, and remember what was acknowledged."""

from __future__ import annotations

import random
import ssl
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.load.wire import Answer, Connection, ConnectionLost, event_body, signed

PATH = "/webhooks/crm"
Door = tuple[str, int]
"""Where webhooks are received: a host and a port."""


@dataclass(slots=True)
class Tally:
    """What all clients together sent and got."""

    acknowledged: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))  # record -> event ids
    outcomes: Counter[str] = field(default_factory=Counter)
    contradictions: list[str] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # answers that no sender with a sound request should get
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, what: str) -> None:
        """Count one outcome."""
        with self.lock:
            self.outcomes[what] += 1


class Client(threading.Thread):
    """One CRM with records of its own; it waits for an answer before it sends a record's next event.

    With several doors it knocks at any of them, and what is sent twice at once goes to two; `pace_s` is how long it
    rests between two events on average. `tls` encrypts its connections.
    """

    def __init__(
        self, number: int, doors: Sequence[Door], records: int, seed: int, tally: Tally, *, pace_s: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:  # fmt: skip
        super().__init__(name=f"client-{number}", daemon=True)
        self._chance = random.Random(f"{seed}-{number}")
        self._records = [f"C-{number}-{index}" for index in range(records)]
        self._sent: Counter[str] = Counter()
        self._connections = [
            Connection(port, host=host, tls=tls) for host, port in (doors if len(doors) > 1 else (*doors, *doors))
        ]
        self._pace_s = pace_s
        self._tally = tally
        self.stopping = threading.Event()
        self.pausing = threading.Event()
        self.is_waiting = False  # whether a request is on its way right now
        self.is_resting = False  # whether it was told to pause and nothing of its is on the way

    def run(self) -> None:
        """Send until told to stop."""
        while not self.stopping.is_set():
            if self.pausing.is_set():
                self.is_resting = True
                time.sleep(0.005)
                continue
            self.is_resting = False
            if self._pace_s:
                self.stopping.wait(self._chance.expovariate(1 / self._pace_s))
            self._send_one(self._chance.choice(self._records))
        for connection in self._connections:
            connection.close()

    def _send_one(self, record: str) -> None:
        self._sent[record] += 1
        number = self._sent[record]
        is_late = number > 3 and self._chance.random() < 0.15
        # Even versions are in order; an odd one tells of a moment that newer versions have already overtaken.
        version = 2 * self._chance.randrange(1, number) + 1 if is_late else 2 * number
        kind = "complaint.updated" if self._chance.random() < 0.3 else "complaint.replied"
        body = event_body(kind, record, number, version, department=f"d{version}", severity="high")
        message = f"{record}-{number}"
        identity = self._deliver(signed(PATH, message, body), message)
        if identity is None:
            return
        with self._tally.lock:
            self._tally.acknowledged[record].append(identity)
        for _ in range(self._chance.choice((0, 0, 0, 1, 2))):
            again = self._attempt(signed(PATH, message, body), both=False)
            if again is not None:
                self._judge(message, identity, again, repeated=True)

    def _deliver(self, request: bytes, message: str) -> str | None:
        """Send until it is acknowledged, as a CRM would; now and then give up and leave it unknown."""
        while not self.stopping.is_set():
            answer = self._attempt(request, both=self._chance.random() < 0.2)
            if answer is not None:
                return self._judge(message, None, answer, repeated=False)
            if self._chance.random() < 0.2:
                return None
            time.sleep(self._chance.uniform(0.005, 0.05))
        return None

    def _attempt(self, request: bytes, *, both: bool) -> Answer | None:
        """Send once, or twice at the same time; return an acknowledgement, or None when none came."""
        used = self._chance.sample(self._connections, 2 if both else 1)
        answers: list[Answer] = []
        self.is_waiting = True
        try:
            sent = []
            for connection in used:
                try:
                    connection.send(request)
                    sent.append(connection)
                except ConnectionLost:
                    self._tally.count("unknown")
            for connection in sent:
                try:
                    answers.append(connection.receive())
                except ConnectionLost:
                    self._tally.count("unknown")
        finally:
            self.is_waiting = False
        for answer in answers:
            self._tally.count("acknowledged" if answer.status in (200, 202) else f"failed_{answer.status}")
            if answer.status not in (200, 202, 503) and len(self._tally.refusals) < 5:
                self._tally.refusals.append(f"{answer.status} {answer.body.decode(errors='replace')}")
        good = [answer for answer in answers if answer.status in (200, 202)]
        if len({tuple(answer.event_ids) for answer in good}) > 1 or [a.status for a in good] == [202, 202]:
            with self._tally.lock:
                self._tally.contradictions.append(f"two sendings at once were answered {[a.status for a in good]}")
        return good[0] if good else None

    def _judge(self, message: str, known: str | None, answer: Answer, *, repeated: bool) -> str | None:
        """Check an acknowledgement against what is known; return the event's id."""
        ids = answer.event_ids
        if len(ids) != 1 or (repeated and (answer.status != 200 or ids[0] != known)):
            with self._tally.lock:
                self._tally.contradictions.append(f"{message}: {answer.status} {ids}, known as {known}")
            return None
        return ids[0]
