"""One pipeline that is compared, ours or a peer's: how much it does a second from POST to its last commit, how soon."""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.load.blast import Options, blast
from tests.load.databases import Outside

CONNECTIONS = 16
WARM_UP = 200
PATIENCE_S = 300.0
SETTLE_S = 1.5
"""How long a pipeline may rest after a burst before it is asked by the clock."""


class PipelineFailed(Exception):
    """A pipeline refused requests, or did not do its work in time."""


@dataclass(slots=True)
class Pipeline:
    """One pipeline that runs: where it listens, its database, and the settings that matter."""

    name: str
    port: int
    url: str
    outside: Outside
    about: str
    is_ours: bool = False

    def warm_up(self) -> None:
        """Do some work that is not measured. Raises PipelineFailed."""
        self._work("warm", WARM_UP)

    def events_per_s(self, count: int) -> float:
        """Post `count` events and wait for every decision; return events a second. Raises PipelineFailed."""
        began = self._work("measured", count)
        return count / (time.monotonic() - began)

    def latency_ms(self, rate: float, seconds: float) -> tuple[float, float]:
        """Post by the clock; return p50 and p99 from when a POST was due until its effects were committed."""
        time.sleep(SETTLE_S)
        answer = blast(Options(self.port, "paced", CONNECTIONS, rate=rate, seconds=seconds, watch=self.url))
        if answer["effects"] != answer["sent"]:
            raise PipelineFailed(f"{self.name}: only {answer['effects']} of {answer['sent']} had their effects in time")
        return float(answer["p50_ms"]), float(answer["p99_ms"])

    def _work(self, name: str, count: int) -> float:
        wanted = self._decisions() + 3 * count
        answer = blast(Options(self.port, name, CONNECTIONS, count=count))
        if answer["resent"]:
            print(f"-- {self.name}: {answer['resent']} requests sent again, their connections were closed", flush=True)
        refused = {status: many for status, many in answer["statuses"].items() if status != "202"}
        if refused:
            raise PipelineFailed(f"{self.name} refused requests: {refused}")
        give_up = time.monotonic() + PATIENCE_S
        while self._decisions() < wanted:
            if time.monotonic() > give_up:
                raise PipelineFailed(f"{self.name} did not finish {count} events within {PATIENCE_S:.0f} s")
            time.sleep(0.02)
        return float(answer["began"])

    def _decisions(self) -> int:
        return int(self.outside.one("SELECT count(*) FROM decisions"))
