"""Several hosts in one: web and worker processes that share a PostgreSQL and a broker, and what befalls them."""
