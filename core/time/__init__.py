"""Where the time comes from: a clock that is passed in, so that nothing else asks the system."""
