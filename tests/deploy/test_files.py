"""The files of deploy/ against the product: commands and variables that exist, hardening that stays."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from core.cli.main import COMMANDS, build
from core.pipeline.supervisor import GRACE_S
from wsgi import assembly

PROJECT = Path(__file__).resolve().parents[2]
DEPLOY = PROJECT / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))
SERVERS = [unit for unit in UNITS if unit.name != "outrigger-migrate.service"]
COMPOSE = yaml.safe_load((DEPLOY / "compose" / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "OUTRIGGER_IMAGE" in service["image"]]
FILES = [
    path
    for folder in ("systemd", "compose", "nginx")
    for path in sorted((DEPLOY / folder).iterdir())
    if path.is_file() and path.name != ".env"
]
HARDENING = {
    "NoNewPrivileges": "yes", "ProtectSystem": "strict", "ProtectHome": "yes", "PrivateTmp": "yes",
    "CapabilityBoundingSet": "", "MemoryDenyWriteExecute": "yes", "SystemCallArchitectures": "native",
}  # fmt: skip


class Lines(dict[str, str]):
    """The lines of a unit's section; one that stands there again adds to the first, as in systemd."""

    def __setitem__(self, key: str, value: Any) -> None:
        super().__setitem__(key, [*self[key], *value] if key in self and isinstance(value, list) else value)


def section(unit: Path, name: str) -> configparser.SectionProxy:
    parser = configparser.RawConfigParser(strict=False, dict_type=Lines, delimiters=("=",), comment_prefixes=("#",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text(encoding="utf-8"))
    return parser[name]


def started_by(unit: Path) -> list[str]:
    program, *words = section(unit, "Service")["ExecStart"].split()
    assert program == "/opt/outrigger/bin/outrigger"
    return words


def parsed(words: list[str]) -> click.Context:
    """Parse a command line as the product does, up to running it."""
    words = [re.sub(r"\$\{\w*PORT\w*\}|%i", "8081", word) for word in words]
    words = [re.sub(r"\$\{\w*WORKERS[^}]*\}", "2", re.sub(r"\$\{\w*ADDRESS\w*\}", "127.0.0.1", word)) for word in words]
    assert words[0] in COMMANDS
    command = build(assembly()).get_command(click.Context(click.Command("outrigger")), words[0])
    assert command is not None
    return command.make_context(words[0], words[1:])


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_starts_a_command_that_exists_with_options_it_takes(unit: Path) -> None:
    words = started_by(unit)
    with parsed(words) as context:  # which refuses an option that the command does not take
        assert context.info_name == words[0]


@pytest.mark.parametrize("name", OURS)
def test_every_container_starts_a_command_that_exists_with_options_it_takes(name: str) -> None:
    words = list(SERVICES[name]["command"])
    with parsed(words) as context:
        assert context.info_name == words[0]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_unit_is_hardened_alike(unit: Path) -> None:
    service, first = section(unit, "Service"), section(UNITS[0], "Service")
    assert {key: service[key] for key in HARDENING} == HARDENING
    keys = {
        key for key in service if key.startswith(("Protect", "Private", "Restrict", "SystemCall", "Lock", "Remove"))
    }
    assert len(keys) >= 20
    assert {key: service[key] for key in keys} == {key: first.get(key) for key in keys}
    assert service["User"] == "outrigger"
    assert "MemoryMax" in service


@pytest.mark.parametrize("unit", SERVERS, ids=lambda unit: unit.name)
def test_every_server_comes_back_and_has_the_time_to_stop_that_it_takes(unit: Path) -> None:
    service = section(unit, "Service")
    assert (service["Type"], service["Restart"], service["KillMode"]) == ("notify", "always", "mixed")
    assert GRACE_S < int(service["TimeoutStopSec"]) <= GRACE_S + 10


def _variables() -> Iterator[tuple[str, str]]:
    for path in FILES:
        for name in sorted(set(re.findall(r"\bOUTRIGGER_[A-Z_]+\b", path.read_text(encoding="utf-8")))):
            yield path.name, name


BELONG_TO_COMPOSE = {
    "OUTRIGGER_IMAGE", "OUTRIGGER_PORT", "OUTRIGGER_WORKERS", "OUTRIGGER_PLUGINS_TOML", "OUTRIGGER_PLUGINS_FOLDER",
}  # fmt: skip


def test_every_variable_that_is_named_exists_in_the_product() -> None:
    read = "\n".join(path.read_text(encoding="utf-8") for path in (PROJECT / "core").rglob("*.py"))
    known = set(re.findall(r"\"(OUTRIGGER_[A-Z_]+)\"", read)) | {"OUTRIGGER_SECRET_KEY"}
    example = (DEPLOY / "compose" / ".env.example").read_text(encoding="utf-8")
    assert all(f"{name}=" in example for name in BELONG_TO_COMPOSE)
    unknown = [
        (file, name) for file, name in _variables()
        if name.removesuffix("_FILE") not in known | BELONG_TO_COMPOSE
    ]  # fmt: skip
    assert unknown == []
    assert len(list(_variables())) > 20


@pytest.mark.parametrize("file", [*UNITS, DEPLOY / "systemd" / "write-back.conf"], ids=lambda file: file.name)
def test_no_unit_or_drop_in_sets_a_variable_that_the_environment_file_takes_back(file: Path) -> None:
    kept = re.findall(r"(?m)^([A-Z_]+)=", (DEPLOY / "systemd" / "outrigger.env").read_text(encoding="utf-8"))
    assert "OUTRIGGER_CONFIG" in kept
    own = re.findall(r"([A-Z_]+)=", section(file, "Service").get("Environment", ""))
    assert not set(own) & set(kept)


def test_every_secret_of_the_shipped_configuration_is_handed_over_by_both_ways() -> None:
    wanted = set(re.findall(r"env:(\w+)", (PROJECT / "plugins.toml").read_text(encoding="utf-8"))) - {"NAME"}
    drop_in = (DEPLOY / "systemd" / "secrets.conf").read_text(encoding="utf-8")
    assert {name for name in wanted if f"Environment={name}_FILE=" not in drop_in} <= _commented_out()
    for name in OURS:
        environment = SERVICES[name]["environment"]
        handed = {key.removesuffix("_FILE") for key in environment}
        assert wanted - handed <= _commented_out()
        files = {Path(path).name for key, path in environment.items() if key.endswith("_FILE")}
        assert files == set(SERVICES[name]["secrets"]) <= set(COMPOSE["secrets"])
        assert not [key for key in environment if re.search("SECRET|TOKEN|PASSWORD|DATABASE_URL|BROKER_URL", key)
                    and not key.endswith("_FILE")]  # fmt: skip


def _commented_out() -> set[str]:
    """Return the secrets that plugins.toml names in comments only."""
    text = (PROJECT / "plugins.toml").read_text(encoding="utf-8")
    live = "\n".join(line.partition("#")[0] for line in text.splitlines())
    return set(re.findall(r"env:(\w+)", text)) - set(re.findall(r"env:(\w+)", live))


@pytest.mark.parametrize("name", list(SERVICES))
def test_every_container_is_hardened_and_limited(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"] and "cap_add" not in service
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert int(service["user"].partition(":")[0]) > 0
    assert {"mem_limit", "cpus", "pids_limit", "tmpfs", "healthcheck"} <= set(service) | {"healthcheck"}
    assert "privileged" not in service and "docker.sock" not in str(service)
    assert re.fullmatch(r"\$\{[A-Z]+_IMAGE:\?.+\}", service["image"]), "an image is chosen in .env, by its digest"
    assert all(str(item).startswith("/") for item in service["tmpfs"])


def test_database_and_broker_are_reached_from_inside_alone() -> None:
    for name in ("postgres", "rabbitmq"):
        assert SERVICES[name]["networks"] == ["data"] and "ports" not in SERVICES[name]
    assert COMPOSE["networks"]["data"]["internal"] is COMPOSE["networks"]["inner"]["internal"] is True
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["proxy"]


def test_containers_have_the_time_to_stop_and_start_in_order() -> None:
    for name in OURS:
        assert int(SERVICES[name]["stop_grace_period"].removesuffix("s")) > GRACE_S
    for name in ("web-1", "web-2", "worker"):
        assert SERVICES[name]["depends_on"]["migrate"]["condition"] == "service_completed_successfully"
    assert SERVICES["migrate"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert SERVICES["migrate"]["restart"] == "no"


def test_postgresql_keeps_what_it_acknowledged() -> None:
    command = SERVICES["postgres"]["command"]
    settings = dict(item.split("=", 1) for item in command[1:] if item != "-c")
    assert [settings[name] for name in ("fsync", "synchronous_commit", "full_page_writes")] == ["on"] * 3


def test_the_proxy_sends_to_the_addresses_that_the_web_containers_have() -> None:
    addresses = {f"{SERVICES[name]['networks']['inner']['ipv4_address']}:8080" for name in ("web-1", "web-2")}
    place = (DEPLOY / "compose" / "place.conf").read_text(encoding="utf-8")
    assert set(re.findall(r"server ([\d.:]+)", place)) == addresses
    assert SERVICES["web-1"]["environment"]["OUTRIGGER_PROXY_HOPS"] == "1"


def test_every_file_that_a_container_mounts_is_there() -> None:
    for service in SERVICES.values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (DEPLOY / "compose" / source).is_file()
    assert (PROJECT / "plugins.toml").is_file()


def test_the_image_has_no_build_tools_and_no_root() -> None:
    text = (DEPLOY / "compose" / "Dockerfile").read_text(encoding="utf-8")
    last = text.rpartition("\nFROM ")[2]
    assert "--require-hashes --only-binary :all: -r requirements-fleet.lock" in text
    assert "USER 10001:10001" in last and "HEALTHCHECK" in last and "org.opencontainers.image.version" in last
    assert not re.search(r"\bpip\b|apt-get|\bgcc\b", last)
    for source in re.findall(r"^COPY (?:--\S+ )*(.+) \S+$", text, re.MULTILINE):
        assert all((PROJECT / item).exists() for item in source.split() if not item.startswith("/opt"))


def test_secrets_are_made_once_as_files_that_only_their_readers_can_read(tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_bytes((DEPLOY / "compose" / "make-secrets.sh").read_bytes())
    first: dict[str, str] = {}
    made: dict[str, str] = {}
    for held in (first, made):
        subprocess.run(["sh", str(script)], check=True, capture_output=True, timeout=60)
        held |= {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == set(COMPOSE["secrets"])
    assert made == first
    assert all(path.stat().st_mode & 0o077 == 0 for path in (tmp_path / "secrets").iterdir())
    assert made["postgres_password"].strip() in made["database_url"]
    assert made["rabbitmq_user"].split()[-1] in made["broker_url"]


@pytest.fixture(scope="module")
def health() -> Any:
    spec = importlib.util.spec_from_file_location("health", DEPLOY / "compose" / "healthcheck.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_worker_is_healthy_while_it_has_its_processes(health: Any) -> None:
    code = "import subprocess, sys, time; [subprocess.Popen([sys.executable, '-c', 'input()']) for _ in range({})]; "
    for count, healthy in ((2, True), (1, False)):
        parent = subprocess.Popen(
            [sys.executable, "-c", code.format(count) + "print(flush=True); input()", "worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            assert parent.stdout is not None
            parent.stdout.readline()
            assert (health.fault(parent.pid) == "") is healthy
        finally:
            parent.communicate()


def test_a_web_is_healthy_when_it_is_ready(health: Any) -> None:
    from http.server import BaseHTTPRequestHandler, HTTPServer
    from threading import Thread

    class Web(BaseHTTPRequestHandler):
        status = 200

        def do_GET(self) -> None:
            self.send_response(self.status)
            self.end_headers()
            self.wfile.write(json.dumps({"path": self.path}).encode())

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Web) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/readyz"
        parent = subprocess.Popen([sys.executable, "-c", "input()", "web"], stdin=subprocess.PIPE)
        try:
            assert health.fault(parent.pid, url) == ""
            Web.status = 503
            assert "/readyz" in health.fault(parent.pid, url)
            server.shutdown()
        finally:
            parent.communicate()
    assert "refused" in health.fault(1, url) or "worker" in health.command_of(1)


def test_the_proxy_of_a_host_logs_to_a_file_since_a_service_has_a_socket_for_its_standard_output() -> None:
    logs = {
        path.relative_to(DEPLOY).as_posix(): re.findall(
            r"^\s*access_log (\S+) outrigger;$", path.read_text(), re.MULTILINE
        )
        for path in (*DEPLOY.glob("nginx/*.conf"), *DEPLOY.glob("compose/*.conf"))
    }
    assert {name: found for name, found in logs.items() if found} == {
        "nginx/listen.conf": ["/var/log/nginx/outrigger.log"], "compose/listen.conf": ["/dev/stdout"],
    }  # fmt: skip


def test_the_image_is_built_without_asking_a_registry_for_the_builder_itself() -> None:
    """Many a company reaches a mirror of images and nothing else."""
    assert "# syntax" not in (DEPLOY / "compose" / "Dockerfile").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [".env", "compose.override.yaml", "secrets/", "plugins/"])
def test_what_belongs_to_one_place_is_not_taken_into_the_repository(name: str) -> None:
    assert f"/deploy/compose/{name}" in (PROJECT / ".gitignore").read_text(encoding="utf-8").splitlines()
