"""Gives tests of commands the terminal that the command line's own tests have."""

from __future__ import annotations

from tests.cli.conftest import bare, terminal

__all__ = ["bare", "terminal"]
