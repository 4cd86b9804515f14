"""A network of the campaign's own: a bridge, and a network namespace with its own address for each host."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
from collections.abc import Iterator


class Network:
    """One bridge with namespaces at it. Needs root and iproute2; without them all hosts share the loopback address."""

    def __init__(self, chance: random.Random) -> None:
        self._name = f"of{os.getpid() % 100_000}"
        self._net = f"10.{chance.randint(64, 250)}.{chance.randint(0, 250)}"
        self._hosts: list[str] = []
        self.is_apart = os.geteuid() == 0 and shutil.which("ip") is not None and self._can_make()
        self.address = f"{self._net}.1" if self.is_apart else "127.0.0.1"
        """Where PostgreSQL and the broker listen."""
        self.range = f"{self._net}.0/24" if self.is_apart else "127.0.0.1/32"

    def _can_make(self) -> bool:
        made = _ip("netns", "add", f"{self._name}probe", check=False)
        if made:
            _ip("netns", "del", f"{self._name}probe", check=False)
        return made

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        """Have the bridge while the block runs; everything is taken away afterwards."""
        if not self.is_apart:
            yield
            return
        try:
            _ip("link", "add", self._name, "type", "bridge")
            _ip("addr", "add", f"{self.address}/24", "dev", self._name)
            _ip("link", "set", self._name, "up")
            yield
        finally:
            for host in self._hosts:
                _ip("netns", "del", self._space(host), check=False)
            _ip("link", "del", self._name, check=False)

    def join(self, host: str) -> tuple[str, str | None]:
        """Give a host an address, and a namespace where that works; return both."""
        if not self.is_apart:
            return "127.0.0.1", None
        self._hosts.append(host)
        number, space, plug = len(self._hosts), self._space(host), self._plug(host)
        _ip("netns", "add", space)
        _ip("link", "add", plug, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", plug, "master", self._name, "up")
        address = f"{self._net}.{10 + number}"
        for what in (("addr", "add", f"{address}/24", "dev", "eth0"), ("link", "set", "eth0", "up")):
            _ip("-n", space, *what)
        _ip("-n", space, "link", "set", "lo", "up")
        return address, space

    def cut(self, host: str) -> None:
        """Pull the host's plug: packets are lost, and nobody is told."""
        _ip("link", "set", self._plug(host), "down")

    def mend(self, host: str) -> None:
        """Put the plug in again."""
        _ip("link", "set", self._plug(host), "up")

    def _space(self, host: str) -> str:
        return f"{self._name}-{host}"

    def _plug(self, host: str) -> str:
        return f"{self._name}v{self._hosts.index(host)}"


def _ip(*arguments: str, check: bool = True) -> bool:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise RuntimeError(f"`ip {' '.join(arguments)}` ended with {done.returncode}: {done.stderr.strip()}")
    return done.returncode == 0
