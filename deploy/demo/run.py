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

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from deploy.demo import findings, processes, report, report_clocks, report_it, report_quotes
from deploy.demo.acts import Played, play
from deploy.demo.approving import LEFT_OPEN, mail_with_link
from deploy.demo.client import Client
from deploy.demo.place import ROOT, Place
from deploy.demo.printing import heading
from deploy.demo.processes import DemoFailed
from deploy.demo.receiver import read_ledger

FAILURES = (DemoFailed, RuntimeError, OSError, http.client.HTTPException, subprocess.SubprocessError)


def set_up(place: Place, port: int, run: str) -> str:
    """Make everything fresh, start the receivers and the server; return an API key."""
    shown = place.directory.relative_to(ROOT) if place.directory.is_relative_to(ROOT) else place.directory
    print(f"Setting up a fresh server in {shown}/ …", flush=True)
    place.make()
    place.remember(run=run)
    place.write_configuration(*processes.start_receiver(place))
    processes.run_outrigger(place, port, "migrate")
    made = processes.run_outrigger(place, port, "keys", "create", "demo", "--role", "admin", "--unit", "*", "--json")
    processes.start_server(place, port)
    url = f"http://127.0.0.1:{port}"
    place.remember(url=url, key=made["token"])
    wait_until_ready(place, url, str(made["token"]))
    return str(made["token"])


def wait_until_ready(place: Place, url: str, key: str) -> None:
    """Wait until the server says that it is ready, and is the one whose key this is.

    Another demo that was started at the same moment may have found the same port free, and taken it.
    """
    deadline, last = time.monotonic() + processes.READY_S, "no answer"
    while time.monotonic() < deadline:
        try:
            answer = Client(url).text("/readyz")
            is_own = answer.status != 200 or Client(url, key).text("/api/v1/plugins").status == 200
        except OSError as error:
            last = str(error)
        else:
            if answer.status == 200 and is_own:
                return
            said = f"{answer.status} {answer.body[:300].decode(errors='replace')}"
            last = said if is_own else f"another server answers at {url}; choose a port with --port"
        if not processes.is_running(place.recall()["server_pid"]):
            break
        time.sleep(0.1)
    log = (place.directory / "server.log").read_text(errors="replace")[-2000:]
    raise DemoFailed(f"The server did not become ready ({last}). Its last words:\n{log}")


def show(place: Place, url: str, key: str, played: Played, began: float) -> list[str]:
    """Print the report; return what is not as it should be."""
    api, told = Client(url, key), read_ledger(place.directory)
    titles = {unit["slug"]: unit["title"] or unit["slug"] for unit in findings.every_unit(api)}
    wrong = [
        *report.print_sent(played.tallies, played.refused),
        *report.print_leads(api, titles),
        *report.print_cases(api, played.published, played.opened),
        *report_quotes.print_quotes(api, played.agreed, told),
        *report_quotes.print_decisions(played.link, played.once),
        *report_clocks.print_clocks(api, titles),
        *report_clocks.print_people(api, place.directory),
        *report_it.print_it(api, played.switched, titles),
        *report.print_order(api, played.echoes),
        *report.print_write_back(told),
        *played.unsettled,
    ]
    link = url + mail_with_link(place.directory, LEFT_OPEN)[1]
    report.print_urls(url, key, link, time.monotonic() - began)
    if wrong:
        heading("Not as it should be")
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
        wrong = show(place, url, key, play(place, port, url, key), began)
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
