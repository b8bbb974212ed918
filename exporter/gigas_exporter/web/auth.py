"""Owns who may ask: basic auth against bcrypt hashes. Knows the Authorization header, not what it protects.

A check costs tens or hundreds of milliseconds of processor on purpose, so

- one runs at a time, and few may wait for their turn: guesses cannot take the processor from everything else;
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

from gigas_exporter.secret import Secret

__all__ = ["Authenticator", "Verdict"]

_REMEMBERED: Final = 256
_UNDER_CHECK: Final = 16
_WAITING: Final = 200  # requests in all, so that those who wait leave connections for those who need not
_WAIT_SECONDS: Final = 20.0
_BCRYPT_BYTES: Final = 72  # bcrypt raises beyond
_HASH_BYTES: Final = 60


class Verdict(enum.Enum):
    """What a request's credentials are."""

    GOOD = "good"
    BAD = "bad"
    BUSY = "busy"  # nothing was checked: too many others wait


class Authenticator:
    """Check credentials against bcrypt hashes by user name."""

    def __init__(self, users: Mapping[str, Secret]) -> None:
        self._hashes = {name.encode(): secret.reveal().encode() for name, secret in users.items()}
        costs = [_cost(stored) for stored in self._hashes.values()]
        self._highest_cost = max(costs, default=10)
        self._nobody = b"$2b$%02d$" % self._highest_cost + b"." * (_HASH_BYTES - 7)
        self._memory_key = secrets.token_bytes(32)
        self._good: OrderedDict[bytes, None] = OrderedDict()
        self._bad: OrderedDict[bytes, None] = OrderedDict()
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._under_check: dict[bytes, threading.Event] = {}
        self._waiting = 0

    def check(self, authorization: str) -> Verdict:
        """Judge an ``Authorization`` header; the empty one is bad."""
        credentials = _decode(authorization)
        if credentials is None:
            return Verdict.BAD
        user, password = credentials
        stored = self._hashes.get(user)
        key = self._remembered_as(user, stored or self._nobody, password)
        with self._lock:
            verdict = self._recall(key)
            if verdict is not None:
                return verdict
            done = self._under_check.get(key)
            if self._waiting >= _WAITING or (done is None and len(self._under_check) >= _UNDER_CHECK):
                return Verdict.BUSY
            self._waiting += 1
            mine = done is None
            if done is None:
                done = self._under_check[key] = threading.Event()
        try:
            if mine:
                return self._check_in_turn(key, done, stored, password)
            done.wait(_WAIT_SECONDS)
            with self._lock:
                return self._recall(key) or Verdict.BUSY
        finally:
            with self._lock:
                self._waiting -= 1

    def _check_in_turn(self, key: bytes, done: threading.Event, stored: bytes | None, password: bytes) -> Verdict:
        try:
            if not self._turn.acquire(timeout=_WAIT_SECONDS):
                return Verdict.BUSY
            try:
                good = self._is_right(stored, password)
            finally:
                self._turn.release()
            with self._lock:
                memory = self._good if good else self._bad
                memory[key] = None
                if len(memory) > _REMEMBERED:
                    memory.popitem(last=False)
            return Verdict.GOOD if good else Verdict.BAD
        finally:
            with self._lock:
                del self._under_check[key]
            done.set()

    def _recall(self, key: bytes) -> Verdict | None:
        for memory, verdict in ((self._good, Verdict.GOOD), (self._bad, Verdict.BAD)):
            if key in memory:
                memory.move_to_end(key)
                return verdict
        return None

    def _is_right(self, stored: bytes | None, password: bytes) -> bool:
        checkable = len(password) <= _BCRYPT_BYTES and b"\0" not in password
        against = stored if stored is not None else self._nobody
        good = bcrypt.checkpw(password if checkable else b"", against) and checkable and stored is not None
        if not good:
            # 2^c for the check and 2^c + ... + 2^(h-1) here make 2^h, whatever the user's own cost c is.
            for cost in range(_cost(against), self._highest_cost):
                bcrypt.hashpw(b"", b"$2b$%02d$" % cost + b"." * 22)
        return good

    def _remembered_as(self, user: bytes, stored: bytes, password: bytes) -> bytes:
        """Return a name under which nothing but exactly these three is remembered, and from which none can be had."""
        digest = hmac.new(self._memory_key, digestmod=hashlib.sha256)
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
