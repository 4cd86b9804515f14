"""The settings of this ledger."""

from __future__ import annotations

from ledger_parts import Config, ConfigSchema

__all__ = ["Config", "ConfigSchema"]
