"""This plugin's ledger."""

from __future__ import annotations

from ledger_parts import ledger_table

table = ledger_table("ledger_second")
metadata = table.metadata
