"""One module for each public set: how its rows become canonical events, and what they are compared with."""
