"""The fault campaign of a fleet: several hosts, a PostgreSQL and a broker of their own, and what befalls them."""
