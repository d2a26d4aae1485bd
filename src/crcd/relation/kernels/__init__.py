"""Implementations of the relation contrast with one signature: ``oracle`` is the truth, ``streaming`` the fast one."""
