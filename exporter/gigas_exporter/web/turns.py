"""Owns who may go next where one goes at a time and many come: in turn by party, however many a party sends.

It knows neither what the turns are for nor what a party is, but that an address belongs to one. Each who waits gets a
place: the one after the last of their party, or the one that is served now if that is later. The lowest place goes
next, and when there is no room the highest place goes away. So who floods waits behind themselves, and is who is turned
away; a party that sends one waits for the turn under way and one of each other party. This is start-time fair queueing
(Goyal, Vin, Cheng: SIGCOMM 1996) with turns of equal length.
"""

from __future__ import annotations

import enum
import ipaddress
import threading
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from gigas_exporter.clock import Clock

__all__ = ["Call", "Turns", "party_of"]

_PATIENCE_SECONDS: Final = 20.0
_USUAL_SECONDS: Final = 8.0  # within which who waits is served, so that a scrape with its usual 10 s still succeeds
_ALWAYS_ROOM: Final = 4
_NETWORK_BITS: Final = 64  # of an IPv6 address; the rest is its owner's to choose


class Call(enum.Enum):
    """How a wait ends."""

    TURN = "turn"
    SETTLED = "settled"  # another's turn was about the same
    AWAY = "away"  # there is no room, or it took too long


@dataclass(eq=False, slots=True)
class _Waiter:
    party: str
    about: Hashable
    place: int
    called: threading.Event = field(default_factory=threading.Event)
    call: Call | None = None

    def end(self, call: Call) -> None:
        self.call = call
        self.called.set()


class Turns:
    """Gives turns, one at a time; safe to use from any thread.

    Args:
        clock: Tells how long turns take, and so how many may wait.
        room: How many may wait at most.
    """

    def __init__(self, clock: Clock, room: int) -> None:
        self._clock = clock
        self._room = room
        self._lock = threading.Lock()
        self._waiting: list[_Waiter] = []
        self._is_taken = False
        self._served = 0  # the place whose turn it is
        self._last_place: dict[str, int] = {}
        self._turn_seconds = 0.0
        self._began = 0.0

    def wait(self, party: str, about: Hashable) -> Call:
        """Wait for a turn about something. Who gets it must call :meth:`done`; who does not must not."""
        with self._lock:
            place = max(self._served, self._last_place.get(party, -1) + 1)
            waiter = _Waiter(party, about, place)
            if self._is_taken:
                if self._is_full(about) and not self._turn_away_behind(place):
                    return Call.AWAY
                self._waiting.append(waiter)
            else:
                self._is_taken = True
                self._give(waiter)
            self._last_place[party] = place
        waiter.called.wait(_PATIENCE_SECONDS)
        with self._lock:
            if waiter.call is None:
                self._waiting.remove(waiter)
            return waiter.call or Call.AWAY

    def done(self, about: Hashable) -> None:
        """End the turn: who waits about the same is settled, and the next has the turn."""
        with self._lock:
            self._turn_seconds = self._clock.monotonic() - self._began
            for waiter in [each for each in self._waiting if each.about == about]:
                self._waiting.remove(waiter)
                waiter.end(Call.SETTLED)
            self._is_taken = bool(self._waiting)
            if self._waiting:
                waiter = min(self._waiting, key=lambda each: each.place)
                self._waiting.remove(waiter)
                self._give(waiter)

    def _give(self, waiter: _Waiter) -> None:
        self._served = waiter.place
        self._last_place = {party: place for party, place in self._last_place.items() if place >= self._served}
        self._began = self._clock.monotonic()
        waiter.end(Call.TURN)

    def _is_full(self, about: Hashable) -> bool:
        turns = {each.about for each in self._waiting}
        if len(self._waiting) >= self._room:
            return True
        return about not in turns and len(turns) >= max(_ALWAYS_ROOM, _USUAL_SECONDS / (self._turn_seconds or 1e-9))

    def _turn_away_behind(self, place: int) -> bool:
        """Turn away who has the highest place, the newest of them, if it is higher than this one."""
        last = max(reversed(self._waiting), key=lambda each: each.place, default=None)
        if last is None or last.place <= place:
            return False
        self._waiting.remove(last)
        self._last_place[last.party] = last.place - 1
        last.end(Call.AWAY)
        return True


def party_of(host: str) -> str:
    """Return whose an address is: itself, or its network where one client has many."""
    address = ipaddress.ip_address(host)
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is None:
            return str(ipaddress.IPv6Network((address.packed, _NETWORK_BITS), strict=False))
        address = address.ipv4_mapped
    return str(address)
