"""Runs the demo: a fresh server, four CRMs sending real events, and a report of what was decided and why.

python deploy/demo/run.py [--detach | --stop] [--port N]
"""

from __future__ import annotations

import argparse
import http.client
import secrets
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.demo import findings, processes, report
from deploy.demo.client import Client
from deploy.demo.facts import read_facts
from deploy.demo.place import ROOT, Place
from deploy.demo.play import Stage, act_two, now, publish
from deploy.demo.processes import DemoFailed
from deploy.demo.quiet import wait_until_quiet
from deploy.demo.receiver import read_ledger

FAILURES = (DemoFailed, RuntimeError, OSError, http.client.HTTPException, subprocess.SubprocessError)
PUBLISHED = ("CP-0001", "CP-0013")
"""The complaints whose cases a person publishes between the two acts."""


class Progress:
    """One line that is written over on a terminal, and a line for each quarter elsewhere."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._quarter = -1
        self._width = 0

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        quarter = 4 * done // max(total, 1)
        if sys.stdout.isatty():
            self._show(f"{self._text} {done}/{total}")
        elif quarter != self._quarter:
            print(f"  {self._text} {done}/{total}", flush=True)
        self._quarter = quarter

    def waiting(self, work: dict[str, int]) -> None:
        """Show what is still open."""
        events, deliveries, messages = work.values()
        if sys.stdout.isatty():
            self._show(f"{self._text}: {events} events, {deliveries} deliveries, {messages} messages left")

    def end(self) -> None:
        """Leave the line as it is and go on below it."""
        if sys.stdout.isatty():
            print()

    def _show(self, text: str) -> None:
        self._width = max(self._width, len(text))
        print(f"\r  {text.ljust(self._width)}", end="", flush=True)


def set_up(place: Place, port: int, run: str) -> str:
    """Make everything fresh, start the receiver and the server; return an API key."""
    shown = place.directory.relative_to(ROOT) if place.directory.is_relative_to(ROOT) else place.directory
    print(f"Setting up a fresh server in {shown}/ …", flush=True)
    place.make()
    place.remember(run=run)
    _, receiver_port = processes.start_receiver(place)
    place.write_configuration(receiver_port)
    processes.run_outrigger(place, port, "migrate")
    made = processes.run_outrigger(place, port, "keys", "create", "demo", "--role", "admin", "--unit", "*", "--json")
    processes.start_server(place, port)
    url = f"http://127.0.0.1:{port}"
    place.remember(url=url, key=made["token"])
    wait_until_ready(place, url)
    return str(made["token"])


def wait_until_ready(place: Place, url: str) -> None:
    """Wait until the server says that it is ready."""
    deadline, last = time.monotonic() + processes.READY_S, "no answer"
    while time.monotonic() < deadline:
        try:
            answer = Client(url).text("/readyz")
        except OSError as error:
            last = str(error)
        else:
            if answer.status == 200:
                return
            last = f"{answer.status} {answer.body[:300].decode(errors='replace')}"
        if not processes.is_running(place.recall()["server_pid"]):
            break
        time.sleep(0.1)
    log = (place.directory / "server.log").read_text(errors="replace")[-2000:]
    raise DemoFailed(f"The server did not become ready ({last}). Its last words:\n{log}")


def play(place: Place, url: str, key: str) -> dict[str, Any]:
    """Send both acts, wait until nothing is left to do, and return what the report needs."""
    facts = read_facts(now())
    first, second = ([fact for fact in facts if fact.act == act] for act in (1, 2))
    stage, api = Stage(place, url), Client(url, key)
    print(f"Four CRMs send {len(facts)} facts about {len({f.record_id for f in facts})} records …", flush=True)
    progress = Progress("requests")
    stage.send(first, progress)
    progress.end()
    refused = stage.misbehave(first)
    stage.send_unmappable(first)
    unsettled = settle(api, "deciding and writing back")
    echoes = stage.echo(read_ledger(place.directory))
    published = publish(api, PUBLISHED)
    later = act_two(second)
    progress = Progress("new complaints")
    stage.send(later, progress)
    progress.end()
    unsettled += settle(api, "deciding")
    return {
        "unsettled": unsettled,
        "tallies": stage.tallies,
        "refused": refused,
        "echoes": echoes,
        "published": published,
        "opened": [fact.record_id for fact in later],
    }


def settle(api: Client, text: str) -> list[str]:
    """Wait until the server has nothing left to do; return a line when that takes too long."""
    progress = Progress(text)
    is_quiet = wait_until_quiet(api, progress.waiting)
    progress.end()
    return [] if is_quiet else [f"{text}: some work was still open after a minute"]


def show(place: Place, url: str, key: str, played: dict[str, Any], began: float) -> list[str]:
    """Print the report; return what is not as it should be."""
    api = Client(url, key)
    titles = {unit["slug"]: unit["title"] or unit["slug"] for unit in findings.every_unit(api)}
    wrong = [
        *report.print_sent(played["tallies"], played["refused"]),
        *report.print_leads(api, titles),
        *report.print_cases(api, played["published"], played["opened"]),
        *report.print_order(api, played["echoes"]),
        *report.print_write_back(read_ledger(place.directory)),
        *played["unsettled"],
    ]
    report.print_urls(url, key, time.monotonic() - began)
    if wrong:
        report.heading("Not as it should be")
        for line in wrong:
            print(f"  {line}")
    return wrong


def stay(place: Place, run: str) -> None:
    """Keep serving until Ctrl-C or a signal, then stop both processes; or until another command has stopped them."""
    print("\n  Serving until Ctrl-C …", flush=True)
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    server = place.recall()["server_pid"]
    while not over.wait(0.5):
        if not processes.is_running(server):
            state = place.recall()
            if state.get("run") != run or state.get("stopping"):
                print("\nAnother command stopped this demo.")
                return
            raise DemoFailed(f"The server has ended; see {place.directory / 'server.log'}.")
    print("\nStopping …", flush=True)
    stop_own(place, run)


def stop_own(place: Place, run: str) -> None:
    """Stop this run's processes, and not those of a demo that took its place meanwhile."""
    if place.recall().get("run") == run:
        processes.stop_demo(place)


def main() -> int:
    """Run the command line; return its exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--detach", action="store_true", help="leave it serving and end with 0")
    parser.add_argument("--stop", action="store_true", help="end a demo that was left serving")
    parser.add_argument("--port", type=int, default=processes.PREFERRED_PORT, help="default: 8080, or a free one")
    parser.add_argument("--directory", type=Path, default=ROOT / "var" / "demo", help="default: var/demo")
    arguments = parser.parse_args()
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal without Chinese shows marks
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that nothing is left running
    place, began = Place(arguments.directory.resolve()), time.monotonic()
    if arguments.stop:
        print("The demo is stopped." if processes.stop_demo(place) else "No demo is running.")
        return 0
    before = place.recall().get("url", "no address yet")
    if processes.stop_demo(place):
        print(f"A demo was running ({before}); it is stopped and this one takes its place.")
    port, run = processes.free_port(arguments.port), secrets.token_hex(8)
    try:
        key = set_up(place, port, run)
        url = f"http://127.0.0.1:{port}"
        wrong = show(place, url, key, play(place, url, key), began)
        if arguments.detach:
            print("\n  It keeps serving; `make stop` ends it.")
        else:
            stay(place, run)
        return 1 if wrong else 0
    except BaseException as error:
        stop_own(place, run)
        if isinstance(error, KeyboardInterrupt):
            print("\nStopped.")
            return 130
        if not isinstance(error, FAILURES):
            raise
        print(f"\nThe demo did not work: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
