"""The way out: HTTP that only goes where it may, and the channels to people."""
