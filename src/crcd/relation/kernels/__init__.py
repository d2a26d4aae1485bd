"""Implementations of the relation contrast with one signature: ``oracle`` is the truth, the others are fast."""
