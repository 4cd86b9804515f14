"""The pure vocabulary of Outrigger: events, records, effects, outcomes and errors; no input or output here."""
