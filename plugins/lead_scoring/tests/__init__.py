"""The tests of lead scoring: its rules and settings, its hooks, its tables on both databases, its commands."""
