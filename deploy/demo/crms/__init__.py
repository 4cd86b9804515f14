"""The four CRMs of the demo, each speaking and signing as the real one does."""
