"""Tests of calendars and working time, and the oracle they are judged by."""
