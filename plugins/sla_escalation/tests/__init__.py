"""The tests of SLA clocks: reckoning against an oracle, its hooks, messages and commands."""
