"""Owns who may ask: basic auth against bcrypt hashes. Knows the Authorization header, not what it protects.

A check costs tens or hundreds of milliseconds of processor on purpose, so

- one runs at a time: guesses cannot take the processor from everything else;
- those who wait take turns by address: a flood of guesses makes nobody wait but others of its own address;
- what was found is remembered, good and bad apart, so that no flood of guesses pushes out the good credentials;
- a credential that several requests bring at once is checked once.

Wrong password and unknown user look the same and cost the same.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import bcrypt

from gigas_exporter.clock import Clock
from gigas_exporter.secret import Secret
from gigas_exporter.web.turns import Call, Turns

__all__ = ["Authenticator", "Memory", "Verdict"]

_REMEMBERED: Final = 256
_BCRYPT_BYTES: Final = 72  # bcrypt raises beyond
_HASH_BYTES: Final = 60


class Verdict(enum.Enum):
    """What a request's credentials are."""

    GOOD = "good"
    BAD = "bad"
    BUSY = "busy"  # nothing was checked: too many others wait


class Authenticator:
    """Check credentials against bcrypt hashes by user name.

    Args:
        users: Hashes by name.
        clock: Where the time comes from.
        room: How many requests may wait for a check.
        before: Whose memory to go on with; what it holds of a user whose hash is another one now is not found there.

    Attributes:
        memory: What was found.
    """

    def __init__(
        self, users: Mapping[str, Secret], clock: Clock, room: int, before: Authenticator | None = None
    ) -> None:
        self._hashes = {name.encode(): secret.reveal().encode() for name, secret in users.items()}
        costs = [_cost(stored) for stored in self._hashes.values()]
        self._highest_cost = max(costs, default=10)
        self._nobody = b"$2b$%02d$" % self._highest_cost + b"." * (_HASH_BYTES - 7)
        self.memory: Memory = Memory() if before is None else before.memory
        self._turns = Turns(clock, room)

    def check(self, authorization: str, party: str) -> Verdict:
        """Judge an ``Authorization`` header that came from a party; the empty one is bad."""
        credentials = _decode(authorization)
        if credentials is None:
            return Verdict.BAD
        user, password = credentials
        stored = self._hashes.get(user)
        name = self.memory.name(user, stored or self._nobody, password)
        verdict = self.memory.recall(name)
        if verdict is not None:
            return verdict
        call = self._turns.wait(party, name)
        if call is Call.TURN:
            try:
                verdict = self.memory.recall(name) or self._judge(stored, password)
                self.memory.keep(name, verdict)
            finally:
                self._turns.done(name)
            return verdict
        return (call is Call.SETTLED and self.memory.recall(name)) or Verdict.BUSY

    def _judge(self, stored: bytes | None, password: bytes) -> Verdict:
        checkable = len(password) <= _BCRYPT_BYTES and b"\0" not in password
        against = stored if stored is not None else self._nobody
        if bcrypt.checkpw(password if checkable else b"", against) and checkable and stored is not None:
            return Verdict.GOOD
        # 2^c for the check and 2^c + ... + 2^(h-1) here make 2^h, whatever the user's own cost c is.
        for cost in range(_cost(against), self._highest_cost):
            bcrypt.hashpw(b"", b"$2b$%02d$" % cost + b"." * 22)
        return Verdict.BAD


class Memory:
    """The verdicts of the last checks, good and bad apart; safe to use from any thread."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._lock = threading.Lock()
        self._verdicts: dict[Verdict, OrderedDict[bytes, None]] = {
            Verdict.GOOD: OrderedDict(),
            Verdict.BAD: OrderedDict(),
        }

    def recall(self, name: bytes) -> Verdict | None:
        """Return what was found, if it is still remembered."""
        with self._lock:
            for verdict, names in self._verdicts.items():
                if name in names:
                    names.move_to_end(name)
                    return verdict
        return None

    def keep(self, name: bytes, verdict: Verdict) -> None:
        """Remember what was found, and forget what was not asked for longest."""
        with self._lock:
            names = self._verdicts[verdict]
            names[name] = None
            if len(names) > _REMEMBERED:
                names.popitem(last=False)

    def name(self, user: bytes, stored: bytes, password: bytes) -> bytes:
        """Return a name under which nothing but exactly these three is remembered, and from which none can be had."""
        digest = hmac.new(self._key, digestmod=hashlib.sha256)
        for part in (user, stored, password):
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.digest()


def _decode(authorization: str) -> tuple[bytes, bytes] | None:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        decoded = base64.b64decode(encoded.strip(" ").encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return None
    user, colon, password = decoded.partition(b":")
    return (user, password) if colon else None


def _cost(stored: bytes) -> int:
    return int(stored[4:6])
