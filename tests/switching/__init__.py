"""Switches a plugin off and on while events flow into a real server, and looks for what was handled wrongly."""
