"""One file for every migration of the core."""
