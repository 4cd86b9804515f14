"""The directory of people: who holds which role, who is absent, and who stands in."""
