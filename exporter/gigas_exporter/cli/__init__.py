"""The command line: it reads the environment, puts the parts together, and turns errors into one line and a status."""

__all__ = ["LONG_RUNNING"]

LONG_RUNNING = frozenset({"serve", "demo", "simulate"})
"""The commands that wait for signals."""
