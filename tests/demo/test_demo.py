"""The demo as a user runs it: one command sets up, plays, reports without a fault, and leaves a server that stops."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from urllib.parse import urlsplit
from urllib.request import urlopen

import pytest

from deploy.demo.place import ROOT


def run(directory, *arguments):
    command = [sys.executable, "deploy/demo/run.py", "--directory", str(directory), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)


@pytest.mark.slow
def test_the_demo_plays_reports_and_leaves_a_server_that_can_be_stopped(tmp_path):
    place = tmp_path / "demo"
    try:
        played = run(place, "--detach", "--port", "0")
        assert played.returncode == 0, played.stdout + played.stderr
        assert "without an owner 未分配: 0" in played.stdout
        assert "拒收: 10 of 10" in played.stdout
        assert "Not as it should be" not in played.stdout
        for shown in (
            "QD-01       退回 returned",
            "the same link once more 重复提交: 410",
            "49 × 409",
            "CD-07 (高端制造事业部) stand where it stands",
            "QD-20 came 停用期间: requests for approval: 0",
            "outrigger audit verify",
            "/pages/quote-approval/decide/",
        ):
            assert shown in played.stdout, played.stdout
        url = json.loads((place / "state.json").read_text())["url"]
        with urlopen(f"{url}/readyz") as answer:
            assert answer.status == 200
    finally:
        stopped = run(place, "--stop")
    assert "The demo is stopped." in stopped.stdout
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port), timeout=2)
    assert "No demo is running." in run(place, "--stop").stdout
