"""The stages an event passes: inbox, dispatch, timers, outbox; they meet in tables and never call one another."""
