"""deploy/compose under a real container engine, by the guide's own commands: first start, limits, faults, replacing.

Run by `make containers`, since it needs an engine, root and images; with `STAND_INS=1` it makes the images first.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.crash.clients import Client, Tally
from tests.deploy.containers import WITHOUT_PROOF, Failed, Site, block_with, engine_answers, installed
from tests.load.databases import Outside
from tests.load.ledger import check

pytestmark = [
    pytest.mark.skipif(not engine_answers(), reason="needs a running container engine with Compose 2"),
    pytest.mark.timeout(900),
]
OURS = ("web-1", "web-2", "worker")
ALL = (*OURS, "proxy", "postgres", "rabbitmq")
DRAIN_S = 120.0
AWAY = "198.51.100.2"
KILL_THE_OTHERS = (
    "import os; mine = {1, os.getpid()}; "
    "[os.kill(int(name), 9) for name in os.listdir('/proc') if name.isdigit() and int(name) not in mine]"
)
WRITE = "sh -c 'if touch /outrigger-was-here 2>/dev/null; then echo written; fi'"


@dataclass
class Running:
    """An installation that was started, and the CRMs that send to it."""

    site: Site
    doctor: str
    tally: Tally = field(default_factory=Tally)
    clients: list[Client] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def acknowledged(self) -> int:
        """Return how many events were acknowledged up to now."""
        with self.tally.lock:
            return sum(map(len, self.tally.acknowledged.values()))

    def go_on(self, count: int) -> None:
        """Wait until so many more events are acknowledged."""
        wanted, deadline = self.acknowledged() + count, time.monotonic() + DRAIN_S
        while self.acknowledged() < wanted:
            assert time.monotonic() < deadline, f"senders get nothing acknowledged: {self.tally.outcomes}"
            time.sleep(0.02)

    def send(self) -> None:
        """Let four CRMs send about 40 events a second together, through TLS and the proxy."""
        doors = [("127.0.0.1", self.site.port)]
        self.clients = [
            Client(next(self.numbers), doors, 10, 20261129, self.tally, pace_s=0.1, tls=WITHOUT_PROOF) for _ in range(4)
        ]
        for client in self.clients:
            client.start()

    def rest(self) -> None:
        """Let the CRMs come to an end, and wait until nothing is left to do. Nothing may be wrong then."""
        for client in self.clients:
            client.stopping.set()
        for client in self.clients:
            client.join(timeout=30)
        with contextlib.closing(Outside(self.site.database_url())) as outside:
            deadline = time.monotonic() + DRAIN_S
            while outside.is_anything_left():
                assert time.monotonic() < deadline, "not drained"
                time.sleep(0.1)
            found = check(outside, self.tally.acknowledged)
        assert found.is_clean, found.words
        assert self.tally.contradictions == []


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("containers")
    folder.chmod(0o755)
    with installed(folder) as site:
        yield Running(site, site.first_start())


def test_the_commands_of_the_guide_bring_everything_up(running: Running) -> None:
    assert " 0 failing" in running.doctor, running.doctor
    found = running.site.containers()
    assert {name: found[name]["State"]["Health"]["Status"] for name in ALL} == dict.fromkeys(ALL, "healthy")
    assert found["migrate"]["State"]["ExitCode"] == 0


@pytest.mark.parametrize("service", ALL)
def test_a_container_is_nobody_of_importance_and_cannot_change_itself(running: Running, service: str) -> None:
    status = dict(
        line.split(":\t", 1)
        for line in running.site.inside(service, "cat /proc/1/status").splitlines()
        if ":\t" in line
    )
    assert "0" not in status["Uid"].split() + status["Gid"].split()
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert running.site.inside(service, WRITE) == ""


def test_the_image_carries_no_installer_and_no_tests(running: Running) -> None:
    look = "find /opt/outrigger ( -name pip -o -name setuptools -o -name tests -path '*site-packages/core*' )"
    assert running.site.inside("worker", look.replace("(", "'('").replace(")", "')'")) == ""
    with pytest.raises(Failed, match="No module named pip"):
        running.site.inside("worker", "python -m pip --version")


@pytest.fixture(scope="module")
def elsewhere() -> Iterator[None]:
    """Let another machine, a network namespace behind the host, listen at an address outside."""
    host, place, name = "198.51.100.1", AWAY, "outrigger-away"
    commands = (
        f"ip netns add {name}",
        f"ip link add {name} type veth peer name eth0 netns {name}",
        f"ip address add {host}/30 dev {name}",
        f"ip link set {name} up",
        f"ip -n {name} address add {place}/30 dev eth0",
        f"ip -n {name} link set eth0 up",
    )
    try:
        for command in commands:
            subprocess.run(command.split(), check=True)
        words = ["ip", "netns", "exec", name, "python3", "-m", "http.server", "--bind", place, "8000"]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as listener:
            yield
            listener.kill()
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.mark.parametrize(
    ("service", "near", "leads_out"),
    [
        ("proxy", "127.0.0.1/8443", True),
        ("worker", "postgres/5432", True),
        ("web-1", "postgres/5432", False),
        ("web-2", "postgres/5432", False),
        ("postgres", "127.0.0.1/5432", False),
        ("rabbitmq", "127.0.0.1/5672", False),
    ],
)
def test_only_those_that_must_can_reach_out(
    running: Running, elsewhere: None, service: str, near: str, leads_out: bool
) -> None:
    assert _reaches(running, service, near), "so that what does not answer below is what is meant"
    assert _reaches(running, service, f"{AWAY}/8000") is leads_out


def _reaches(running: Running, service: str, place: str) -> bool:
    attempt = f"timeout 2 bash -c ': < /dev/tcp/{place}'"
    script = f"for i in 1 2 3; do if {attempt}; then echo reached; exit; fi; sleep 1; done"
    return running.site.inside(service, f'sh -c "{script}"') == "reached\n"


def test_a_secret_is_its_readers_alone(running: Running) -> None:
    assert running.site.inside("worker", "stat -c '%a %u' /run/secrets/secret_key").split() == ["600", "10001"]
    assert running.site.inside("postgres", "ls /run/secrets").split() == ["postgres_password"]
    assert running.site.inside("rabbitmq", "ls -A /run").split().count("secrets") == 0
    for service in OURS:
        environment = running.site.containers()[service]["Config"]["Env"]
        assert not [line for line in environment if "whsec_" in line or "amqp://" in line or "postgresql+" in line]


def test_from_outside_there_is_life_and_nothing_of_the_inside(running: Running) -> None:
    """Docker hands the host's own requests on from the gateway of its network, which is not inside."""
    status = {}
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/events", "/docs", "/"):
        answer = running.site.get(path)
        assert answer is not None
        status[path] = answer.status
    assert status == {"/healthz": 200, **dict.fromkeys(("/readyz", "/metrics", "/api/v1/events", "/docs", "/"), 404)}


def test_a_plugin_that_comes_as_a_wheel_is_found_in_an_image_of_ones_own(running: Running, tmp_path: Path) -> None:
    words = (Path(__file__).parents[2] / "plugins" / "README.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"```toml\n(.*?)```", words, re.DOTALL) if "entry-points" in block]
    blocks += [block for block in re.findall(r"```toml\n(.*?)```", words, re.DOTALL) if "[build-system]" in block]
    (tmp_path / "pyproject.toml").write_text("\n".join(blocks), encoding="utf-8")
    (tmp_path / "order_watch").mkdir()
    (tmp_path / "order_watch" / "plugin.py").write_text("", encoding="utf-8")
    manifest = (
        'name = "order_watch"\nversion = "1.0"\ntitle = "Orders"\nsummary = "Watches."\nowner = "us"\napi = "1"\n'
    )
    (tmp_path / "order_watch" / "plugin.toml").write_text(manifest, encoding="utf-8")
    site = running.site
    site.sh(
        f"{sys.executable} -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir image/wheels .",
        folder=tmp_path,
    )
    image = site.build_own(tmp_path / "image" / "wheels")
    assert "order_watch" not in site.sh("docker compose run --rm cli plugins list")
    assert "order_watch" in site.sh(f"OUTRIGGER_IMAGE={image} docker compose run --rm cli plugins list")


def test_webs_and_worker_are_replaced_one_at_a_time_and_no_sender_sees_an_error(running: Running) -> None:
    running.send()
    running.go_on(50)
    before = dict(running.tally.outcomes)
    for service in OURS:
        running.site.sh(f"docker compose up --detach --no-deps --wait --force-recreate {service}")
        time.sleep(3.0)  # as the guide says
        running.go_on(30)
    running.rest()
    assert set(running.tally.outcomes) == {"acknowledged"}, (before, running.tally.outcomes)


@pytest.mark.parametrize("service", ALL)
def test_one_that_is_killed_comes_back_and_nothing_is_lost_or_doubled(running: Running, service: str) -> None:
    restarts = running.site.containers()[service]["RestartCount"]
    running.send()
    running.go_on(30)
    running.site.kill(service)
    deadline = time.monotonic() + 60
    while running.site.containers()[service]["RestartCount"] == restarts:
        assert time.monotonic() < deadline, "the engine did not start it again"
        time.sleep(0.2)
    running.site.wait_healthy()
    running.go_on(60)
    running.rest()
    assert {name for name in running.tally.outcomes if name.startswith("failed_")} <= {
        "failed_502", "failed_503", "failed_504",
    }  # fmt: skip


def test_a_worker_that_has_lost_its_processes_is_unhealthy(running: Running) -> None:
    """Its supervisor is stopped, so it does not start them anew."""
    host_pid = running.site.containers()["worker"]["State"]["Pid"]
    running.site.sh(f"kill -STOP {host_pid}")
    try:
        with contextlib.suppress(Failed):
            running.site.inside("worker", f'python -c "{KILL_THE_OTHERS}"')
        with pytest.raises(Failed, match="only 0 processes"):
            running.site.inside("worker", "python /usr/local/bin/outrigger-health")
    finally:
        running.site.sh(f"kill -CONT {host_pid}")
    running.site.wait_healthy()


def test_all_of_it_stops_in_time_and_has_everything_when_it_is_back(running: Running) -> None:
    running.send()
    running.go_on(50)
    running.rest()
    began = time.monotonic()
    running.site.sh("docker compose stop")
    seconds = time.monotonic() - began
    found = running.site.containers()
    codes = {name: found[name]["State"]["ExitCode"] for name in ALL}
    assert codes == dict.fromkeys(ALL, 0), f"137 is one that was killed for being late: {codes}"
    running.site.sh("docker compose down")
    for line in block_with("docker build").splitlines():
        if line.startswith("docker compose up"):
            running.site.sh(line)
    running.send()
    running.go_on(50)
    running.rest()
    print(f"\nstopped in {seconds:.1f} s; {json.dumps(running.tally.outcomes)}")
