"""SLA clocks and escalation: every promise on time is a clock that explains itself."""
