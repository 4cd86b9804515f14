"""Workers on many machines: Celery carries the message that a lane has work, and the tables stay the truth."""
