"""The command line: it joins the parts and reports errors."""

__all__ = ["LONG_RUNNING"]

LONG_RUNNING = frozenset({"serve", "demo", "simulate"})
"""The commands that run until a signal stops them."""
