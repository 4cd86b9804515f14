"""The demo: a fresh server, four CRMs sending real events to it, and a report of what it decided."""
