"""The demo's place on disk, `var/demo/`: made afresh for each run, with secrets of its own."""

from __future__ import annotations

import base64
import json
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = Path(__file__).resolve().parent / "plugins.toml"
RECEIVER_IN_TEMPLATE = "http://127.0.0.1:9"
SECRETS = (
    "DEMO_CRM_SECRET",
    "DEMO_ERP_SECRET",
    "DEMO_HUBSPOT_SECRET",
    "DEMO_SERVICEDESK_TOKEN",
    "DEMO_WRITE_BACK_SECRET",
)


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
            path = self.directory / "secrets" / name
            path.touch(mode=0o600)
            path.write_text("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())

    def secret(self, name: str) -> str:
        """Return one of the run's secrets."""
        return (self.directory / "secrets" / name).read_text()

    def write_configuration(self, receiver_port: int) -> None:
        """Copy the demo's plugins.toml here, with the address at which this run's CRM takes write-backs."""
        text = TEMPLATE.read_text(encoding="utf-8")
        here = text.replace(RECEIVER_IN_TEMPLATE, f"http://127.0.0.1:{receiver_port}")
        (self.directory / "plugins.toml").write_text(here, encoding="utf-8")

    def environment(self, port: int) -> dict[str, str]:
        """Return the environment of the server and of every `outrigger` command of this run."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("OUTRIGGER_", "DEMO_"))}
        return {
            **kept,
            "OUTRIGGER_DATABASE_URL": f"sqlite:///{self.directory / 'outrigger.sqlite'}",
            "OUTRIGGER_CONFIG": str(self.directory / "plugins.toml"),
            "OUTRIGGER_PUBLIC_URL": f"http://127.0.0.1:{port}",
            **{f"{name}_FILE": str(self.directory / "secrets" / name) for name in SECRETS},
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
