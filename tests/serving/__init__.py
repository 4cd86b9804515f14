"""Tests against a real server: its own processes, its own port, real HTTP."""
