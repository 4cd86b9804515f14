"""Checks the files of deploy/ with the tools that are made for them, and says loudly which tools are not here.

`make deploy-check` runs it. Ends with 1 when a tool finds fault; a tool that is missing is told and skipped.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
SYSTEMD, COMPOSE = HERE / "systemd", HERE / "compose"

MOST_EXPOSED = 1.5
"""The exposure (0 to 10) that `systemd-analyze security` may find in a unit; what is left is the network it needs."""


@dataclass(frozen=True, slots=True)
class Check:
    """One tool at work."""

    name: str
    programs: tuple[str, ...]  # the first that is here is run; its path is handed to `run`
    package: str  # where the tool comes from
    run: Callable[[str], str]  # returns what to tell; raises Fault


class Fault(Exception):
    """What a tool found."""


def units(program: str) -> str:
    """Let systemd read the units as they would be installed, beside those of this machine."""
    with tempfile.TemporaryDirectory(prefix="outrigger-units-") as folder:
        root = Path(folder)
        installed = root / "etc/systemd/system"
        installed.mkdir(parents=True)
        for place in ("lib/systemd/system", "usr/lib/systemd/system"):
            if Path("/", place).is_dir():
                shutil.copytree(Path("/", place), root / place, symlinks=True, ignore_dangling_symlinks=True)
        names = []
        for unit in sorted(SYSTEMD.glob("*.service")):
            shutil.copy(unit, installed)
            _put_programs(unit, root)
            names.append(unit.name.replace("@.", "@8081."))
        for prefix in ("outrigger.service.d", "outrigger-.service.d"):
            (installed / prefix).mkdir()
            shutil.copy(SYSTEMD / "secrets.conf", installed / prefix)
        shutil.copy(SYSTEMD / "write-back.conf", installed / "outrigger.service.d")
        for name in names:
            told = _run(program, "verify", "--man=no", "--recursive-errors=no", f"--root={root}", name)
            if told:
                raise Fault(told)
    return f"{len(names)} units"


def _put_programs(unit: Path, root: Path) -> None:
    """Put what a unit starts where it looks for it: the product as an empty program, the system's as they are here."""
    for started in re.findall(r"^Exec\w+=(/\S+)", unit.read_text(encoding="utf-8"), flags=re.MULTILINE):
        place = root / started.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        if started.startswith("/opt/outrigger/"):
            place.write_text("#!/bin/sh\n", encoding="utf-8")
            place.chmod(0o755)
        elif Path(started).exists():  # one that is not is for systemd to find
            shutil.copy(started, place)


def exposure(program: str) -> str:
    """Return how exposed each unit is; raises Fault for one that is more exposed than it need be."""
    found = {}
    for unit in sorted(SYSTEMD.glob("*.service")):
        told = _run(program, "security", "--offline=yes", "--no-pager", str(unit))
        score = re.search(r"Overall exposure level for \S+: ([\d.]+)", told)
        if score is None:
            raise Fault(told)
        found[unit.name] = float(score.group(1))
    text = ", ".join(f"{name} {score}" for name, score in found.items())
    if max(found.values()) > MOST_EXPOSED:
        raise Fault(f"more than {MOST_EXPOSED}: {text}")
    return text


def compose(program: str) -> str:
    """Let Compose resolve the file with the example's settings and secrets made for the moment."""
    with tempfile.TemporaryDirectory(prefix="outrigger-compose-") as folder:
        place = Path(folder) / "deploy" / "compose"
        shutil.copytree(COMPOSE, place, ignore=shutil.ignore_patterns("secrets", ".env"))
        shutil.copytree(HERE / "nginx", place.parent / "nginx")
        shutil.copy(PROJECT / "plugins.toml", folder)
        shutil.copy(place / ".env.example", place / ".env")
        _run("sh", str(place / "make-secrets.sh"))
        if _is_old(program):  # which knows all of the file but its name
            text = (place / "compose.yaml").read_text(encoding="utf-8")
            (place / "compose.yaml").write_text(re.sub(r"(?m)^name: .*\n", "", text), encoding="utf-8")
        words = [program, "compose"] if Path(program).name == "docker" else [program]
        told = _run(*words, "config", "--quiet", folder=place)
    return told or "resolves"


def proxy(_program: str) -> str:
    """Run nginx before real web processes, and look at it as senders do."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/deploy/check_proxy.py"],
        cwd=PROJECT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else done.stderr
    if done.returncode:
        raise Fault(done.stdout)
    return last


def _run(*words: str, folder: Path = PROJECT) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    told = (done.stdout + done.stderr).strip()
    if done.returncode:
        raise Fault(told or f"{words[0]} ended with {done.returncode}")
    return told


def _plain(*arguments: str) -> Callable[[str], str]:
    return lambda program: _run(program, *arguments) or "nothing found"


CHECKS = (
    Check("systemd-analyze verify", ("systemd-analyze",), "apt: systemd", units),
    Check("systemd-analyze security", ("systemd-analyze",), "apt: systemd", exposure),
    Check("hadolint", ("hadolint",), "deploy/requirements.lock", _plain(str(COMPOSE / "Dockerfile"))),
    Check(
        "yamllint", ("yamllint",), "deploy/requirements.lock",
        _plain("--strict", "-c", str(HERE / ".yamllint"), str(COMPOSE / "compose.yaml")),
    ),
    Check("docker compose config", ("docker", "docker-compose"), "docker-compose-plugin", compose),
    Check(
        "shellcheck", ("shellcheck",), "apt: shellcheck",
        _plain(
            *map(str, (SYSTEMD / "outrigger-ctl", COMPOSE / "make-secrets.sh")),
            *map(str, sorted((PROJECT / "tests" / "deploy" / "stand_ins").glob("*.sh"))),
        ),
    ),
    Check("nginx before two web processes", ("nginx",), "apt: nginx-light, and a PostgreSQL", proxy),
)  # fmt: skip


def found_programs(check: Check) -> Iterator[str]:
    """Yield the programs of a check that are here and able."""
    beside = f"{Path(sys.executable).parent}:/usr/sbin"
    for name in check.programs:
        program = shutil.which(name, path=beside) or shutil.which(name)
        if program is None or (name == "docker" and not _has_compose(program)):
            continue
        yield program


def _has_compose(docker: str) -> bool:
    return subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode == 0


def _is_old(program: str) -> bool:
    """Whether this is Compose 1."""
    if Path(program).name == "docker":
        return False
    told = subprocess.run([program, "version", "--short"], capture_output=True, text=True, check=False).stdout
    return told.startswith("1.")


def main() -> None:
    """Run every check that can run."""
    faults, missing = 0, []
    for check in CHECKS:
        program = next(found_programs(check), None)
        if program is None:
            missing.append(f"{check.name} ({check.package})")
            continue
        try:
            print(f"ok    {check.name}: {check.run(program)}", flush=True)
        except Fault as fault:
            faults += 1
            print(f"FAULT {check.name}:\n{fault}", flush=True)
    for name in missing:
        print(f"!!! NOT CHECKED, its tool is not here: {name} !!!")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
