"""Replays real public data through the dispatcher and the plugins, and says what they decided."""
