"""The questions the API and the command line ask: the same queries, so that both give the same answers."""
