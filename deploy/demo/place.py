"""The demo's place on disk, `var/demo/`: made afresh for each run, with secrets of its own."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.demo import robot

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = Path(__file__).resolve().parent / "plugins.toml"
RECEIVER_IN_TEMPLATE = "http://127.0.0.1:9"
MAILBOX_IN_TEMPLATE = "\nport = 9 "
SECRETS = (
    "DEMO_CRM_SECRET",
    "DEMO_ERP_SECRET",
    "DEMO_HUBSPOT_SECRET",
    "DEMO_SERVICEDESK_TOKEN",
    "DEMO_WRITE_BACK_SECRET",
)
ROBOTS = {"DEMO_WECOM_SALES_URL": "wecom_sales", "DEMO_WECOM_SERVICE_URL": "wecom_service"}
"""The secrets that hold a robot's address, and the name of each robot's channel."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything of one run lies."""

    directory: Path

    @property
    def state_file(self) -> Path:
        """The file that says which processes run and where they answer."""
        return self.directory / "state.json"

    def make(self) -> None:
        """Make the directory afresh, with new random secrets that only this user can read."""
        if self.directory.exists():
            shutil.rmtree(self.directory)
        (self.directory / "secrets").mkdir(parents=True, mode=0o700)
        for name in SECRETS:
            self._write_secret(name, "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())
        for name in ROBOTS:
            self._write_secret(name, f"{RECEIVER_IN_TEMPLATE}{robot.PATH}?key={uuid.uuid4()}")

    def _write_secret(self, name: str, value: str) -> None:
        path = self.directory / "secrets" / name
        path.touch(mode=0o600)
        path.write_text(value)

    def secret(self, name: str) -> str:
        """Return one of the run's secrets."""
        return (self.directory / "secrets" / name).read_text()

    def robots(self) -> dict[str, str]:
        """Return the name of each robot by its key."""
        return {self.secret(name).rpartition("=")[2]: channel for name, channel in ROBOTS.items()}

    def write_configuration(self, receiver_port: int, mailbox_port: int) -> None:
        """Copy the demo's plugins.toml here, with the addresses of this run's receivers in it and in the secrets."""
        here = f"http://127.0.0.1:{receiver_port}"
        text = TEMPLATE.read_text(encoding="utf-8").replace(RECEIVER_IN_TEMPLATE, here)
        text = text.replace(MAILBOX_IN_TEMPLATE, f"\nport = {mailbox_port} ")
        (self.directory / "plugins.toml").write_text(text, encoding="utf-8")
        for name in ROBOTS:
            self._write_secret(name, self.secret(name).replace(RECEIVER_IN_TEMPLATE, here))

    def environment(self, port: int) -> dict[str, str]:
        """Return the environment of the server and of every `outrigger` command of this run."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OUTRIGGER_", "DEMO_"))}
        return {
            **kept,
            "OUTRIGGER_DATABASE_URL": f"sqlite:///{self.directory / 'outrigger.sqlite'}",
            "OUTRIGGER_CONFIG": str(self.directory / "plugins.toml"),
            "OUTRIGGER_PUBLIC_URL": f"http://127.0.0.1:{port}",
            **{f"{name}_FILE": str(self.directory / "secrets" / name) for name in (*SECRETS, *ROBOTS)},
        }

    def remember(self, **state: Any) -> None:
        """Write down what is running, so that a later command can stop it."""
        self.state_file.write_text(json.dumps({**self.recall(), **state}, indent=1))
        self.state_file.chmod(0o600)

    def recall(self) -> dict[str, Any]:
        """Return what was written down, or nothing."""
        try:
            found = json.loads(self.state_file.read_text())
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}
