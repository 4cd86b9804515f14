"""Tables, sessions, the write queue and the migrations; the only place that speaks to a database."""
