"""Outrigger's core: stores events durably and dispatches them through pluggy hooks to plugins."""
