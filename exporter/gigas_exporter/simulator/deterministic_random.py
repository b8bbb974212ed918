"""Random numbers that depend on their arguments alone.

What happens to a disk is drawn from the seed and the time, so that nothing is stored, and the order of a client's
requests changes nothing.
"""

from __future__ import annotations

_MASK = (1 << 64) - 1


def draw(*parts: int) -> int:
    """Return 64 bits that look random and depend on ``parts`` alone (the mixing of SplitMix64)."""
    state = 0x9E3779B97F4A7C15
    for part in parts:
        state = ((state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state
