"""The web face: the app's list of parts, the API, its keys, its problems, health and metrics."""
