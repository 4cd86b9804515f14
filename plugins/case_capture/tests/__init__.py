"""The tests of the case library: its rules, its hooks, its search on both databases, its API and commands."""
