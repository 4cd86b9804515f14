"""The tests of quote approval: its table of rules, its states, its hooks, pages and commands."""
