"""Runs deploy/compose under a real container engine, by the commands that deploy/README.md gives its readers."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.load.server import PLUGINS, configuration, free_port
from tests.load.wire import SECRET, Answer, get

PROJECT = Path(__file__).resolve().parents[2]
GUIDE = (PROJECT / "deploy" / "README.md").read_text(encoding="utf-8")
PATIENCE_S = 120.0
NAME = "outrigger-check"
IMAGE = f"{NAME}:latest"

WITHOUT_PROOF = ssl.create_default_context()
"""Encrypts and asks for no proof: the certificate that make-secrets.sh makes signs itself."""
WITHOUT_PROOF.check_hostname = False
WITHOUT_PROOF.verify_mode = ssl.CERT_NONE


def engine_answers() -> bool:
    """Whether a container engine with Compose 2 is here and runs."""
    if shutil.which("docker") is None:
        return False
    asked = (("docker", "info", "--format", "{{.ServerVersion}}"), ("docker", "compose", "version"))
    return all(subprocess.run(words, capture_output=True, check=False, timeout=30).returncode == 0 for words in asked)


def block_with(text: str, language: str = "") -> str:
    """Return the block of deploy/README.md that `text` stands in."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)
    return next(block for block in blocks if text in block)


class Failed(Exception):
    """A command ended with an error; the message has what it said."""


class Site:
    """One installation: a copy of deploy/ in a folder, its containers, networks and volumes."""

    def __init__(self, folder: Path, images: dict[str, str]) -> None:
        shutil.copytree(PROJECT / "deploy", folder / "deploy", ignore=shutil.ignore_patterns("secrets", ".env"))
        self.folder = folder / "deploy" / "compose"
        self.port = free_port()
        self._images = images
        self._configuration = folder / "plugins.toml"
        self._configuration.write_text(configuration(every=7), encoding="utf-8")
        self._configuration.chmod(0o644)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("OUTRIGGER_", "COMPOSE_"))},
            "COMPOSE_PROJECT_NAME": NAME,
            "COMPOSE_PROGRESS": "quiet",
        }

    def sh(self, line: str, *, folder: Path | None = None) -> str:
        """Run a line as it stands in the guide; return what it printed. Raises Failed."""
        done = subprocess.run(
            ["sh", "-c", line], cwd=folder or self.folder, env=self._environment, capture_output=True, text=True,
            check=False, timeout=900,
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"{line}\n{done.stdout}{done.stderr}")
        return done.stdout

    def build(self) -> None:
        """Build the image by the guide's command, under a name of this check's own. Raises Failed."""
        line = next(line for line in block_with("docker build").splitlines() if line.startswith("docker build"))
        line = line.replace("outrigger:0.1.0", f"{IMAGE} --build-arg PYTHON={self._images['PYTHON_IMAGE']}")
        self.sh(line, folder=PROJECT / "deploy" / "compose")

    def build_own(self, wheels: Path) -> str:
        """Build an image with further wheels as the guide says, and return its name. Raises Failed."""
        text = block_with("AS own", "dockerfile").replace("outrigger:0.1.0", IMAGE)
        folder = wheels.parent
        (folder / "Dockerfile").write_text(
            re.sub(r"python:3\.13\S*", self._images["PYTHON_IMAGE"], text), encoding="utf-8"
        )
        self.sh(f"docker build --quiet --tag {NAME}-own .", folder=folder)
        return f"{NAME}-own"

    def settle(self) -> None:
        """Do what the guide asks for before the first start: settings, secrets, one more source and plugins."""
        self.sh("cp .env.example .env && ./make-secrets.sh")
        settings = self._images | {
            "OUTRIGGER_IMAGE": IMAGE,
            "OUTRIGGER_PORT": f"127.0.0.1:{self.port}",
            "OUTRIGGER_PLUGINS_TOML": str(self._configuration),
            "OUTRIGGER_PLUGINS_FOLDER": str(PLUGINS),
        }
        text = (self.folder / ".env").read_text(encoding="utf-8")
        for name, value in settings.items():
            text = re.sub(rf"(?m)^{name}=.*$", f"{name}={value}", text)
        (self.folder / ".env").write_text(text, encoding="utf-8")
        more = block_with("x-more", "yaml").replace("OTHER_CRM", "LEDGER").replace("other_crm", "ledger")
        (self.folder / "compose.override.yaml").write_text(more, encoding="utf-8")
        secret = self.folder / "secrets" / "ledger_secret"
        secret.write_text(SECRET + "\n", encoding="utf-8")
        secret.chmod(0o600)
        os.chown(secret, 10001, 10001)

    def first_start(self) -> str:
        """Run the guide's commands of a first start; return what the last one, `doctor`, said. Raises Failed."""
        said = ""
        for line in block_with("docker build").splitlines():
            if line.startswith("docker compose"):
                said = self.sh(line)
        return said

    def containers(self) -> dict[str, dict[str, Any]]:
        """Return what the engine knows of each service's container, those that ended among them."""
        ids = self.sh("docker compose ps --all --quiet").split()
        known = json.loads(self.sh(f"docker inspect {' '.join(ids)}")) if ids else []
        return {one["Config"]["Labels"]["com.docker.compose.service"]: one for one in known}

    def inside(self, service: str, command: str) -> str:
        """Run a command in a service's container. Raises Failed."""
        return self.sh(f"docker compose exec -T {service} {command}")

    def get(self, path: str) -> Answer | None:
        """Ask the proxy for a page as the host's own address."""
        return get(self.port, path, patience_s=30.0, tls=WITHOUT_PROOF)

    def database_url(self) -> str:
        """Return the URL by which the host, which is on every network of its containers, reaches PostgreSQL."""
        networks = self.containers()["postgres"]["NetworkSettings"]["Networks"]
        password = (self.folder / "secrets" / "postgres_password").read_text(encoding="utf-8").strip()
        return f"postgresql+psycopg://outrigger:{password}@{networks[f'{NAME}_data']['IPAddress']}/outrigger"

    def kill(self, service: str) -> None:
        """Kill a container's first process as a fault would, behind the engine's back, so that it starts it again."""
        os.kill(int(self.containers()[service]["State"]["Pid"]), signal.SIGKILL)

    def wait_healthy(self) -> None:
        """Wait until every container that has a health is healthy. Raises Failed."""
        deadline = time.monotonic() + PATIENCE_S
        while sick := {
            name: one["State"].get("Health", {}).get("Log", [])[-1:] for name, one in self.containers().items()
            if one["State"].get("Health", {}).get("Status", "healthy") != "healthy" or one["State"]["Restarting"]
        }:  # fmt: skip
            if time.monotonic() > deadline:
                raise Failed(f"not healthy after {PATIENCE_S:.0f} s: {sick}")
            time.sleep(0.5)

    def end(self) -> None:
        """Take everything down, data too."""
        with contextlib.suppress(Failed):
            self.sh("docker compose down --volumes --timeout 5")


def images() -> dict[str, str]:
    """Return which images to use: `*_IMAGE` of the environment, else those that the shipped files name."""
    named = re.findall(r"(?m)^(\w+_IMAGE)=(.+)$", (PROJECT / "deploy/compose/.env.example").read_text(encoding="utf-8"))
    shipped = {**dict(named), "PYTHON_IMAGE": "python:3.13-slim-bookworm"}
    return {name: os.environ.get(name, value) for name, value in shipped.items() if name != "OUTRIGGER_IMAGE"}


@contextlib.contextmanager
def installed(folder: Path) -> Iterator[Site]:
    """Yield an installation whose image is built and whose settings are made; nothing of it runs yet."""
    site = Site(folder, images())
    site.end()  # what a check that was killed has left
    site.build()
    site.settle()
    try:
        yield site
    finally:
        site.end()
