"""Basic auth against bcrypt hashes.

bcrypt is slow on purpose: a check takes tens or hundreds of milliseconds of CPU time. So one check runs at a time, in a
thread, and waiting clients take turns. Good and bad results are cached apart, so that guesses do not evict good ones.
A wrong password and an unknown user get the same response, and take the same time.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import enum
import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import bcrypt

from gigas_exporter.secret import Secret
from gigas_exporter.web.fair_lock import BusyError, FairLock

_CACHE_SIZE: Final = 256
_MAX_WAITING: Final = 256
_BCRYPT_BYTES: Final = 72  # bcrypt ignores further bytes of a password, and its Python library rejects them
_HASH_BYTES: Final = 60


class AuthResult(enum.Enum):
    """The result of a check."""

    OK = "ok"
    DENIED = "denied"
    BUSY = "busy"  # not checked: too many requests wait


class BasicAuthenticator:
    """Checks credentials.

    Args:
        users: bcrypt hashes by user name.
        previous: The one whose cache and queue to keep. If a user's hash changed, cached results no longer apply.
    """

    def __init__(self, users: Mapping[str, Secret], previous: BasicAuthenticator | None = None) -> None:
        self._hashes = {name.encode(): secret.reveal().encode() for name, secret in users.items()}
        self._max_cost = max((_cost(stored) for stored in self._hashes.values()), default=10)
        self._dummy_hash = b"$2b$%02d$" % self._max_cost + b"." * (_HASH_BYTES - 7)
        self.cache: AuthCache = AuthCache() if previous is None else previous.cache
        self.lock: FairLock = FairLock(_MAX_WAITING) if previous is None else previous.lock

    async def check(self, authorization: str, client: str) -> AuthResult:
        """Check an ``Authorization`` header, which may be empty."""
        credentials = _decode(authorization)
        if credentials is None:
            return AuthResult.DENIED
        user, password = credentials
        stored = self._hashes.get(user)
        key = self.cache.key(user, stored or self._dummy_hash, password)
        result = self.cache.get(key)
        if result is not None:
            return result
        try:
            async with self.lock.hold(client):
                result = self.cache.get(key)  # the same credential may have been checked meanwhile
                if result is None:
                    result = await asyncio.to_thread(self._verify, stored, password)
                    self.cache.put(key, result)
        except BusyError:
            return AuthResult.BUSY
        return result

    def _verify(self, stored: bytes | None, password: bytes) -> AuthResult:
        checkable = b"\0" not in password
        against = stored if stored is not None else self._dummy_hash
        if bcrypt.checkpw(password[:_BCRYPT_BYTES] if checkable else b"", against) and checkable and stored is not None:
            return AuthResult.OK
        # 2^c for the check and 2^c + ... + 2^(m-1) here make 2^m, whatever the user's own cost c is.
        for cost in range(_cost(against), self._max_cost):
            bcrypt.hashpw(b"", b"$2b$%02d$" % cost + b"." * 22)
        return AuthResult.DENIED


class AuthCache:
    """The most recently used results, good and bad apart."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._results: dict[AuthResult, OrderedDict[bytes, None]] = {
            AuthResult.OK: OrderedDict(),
            AuthResult.DENIED: OrderedDict(),
        }

    def get(self, key: bytes) -> AuthResult | None:
        """Return the cached result, if any."""
        for result, keys in self._results.items():
            if key in keys:
                keys.move_to_end(key)
                return result
        return None

    def put(self, key: bytes, result: AuthResult) -> None:
        """Cache a result; drop the least recently used."""
        keys = self._results[result]
        keys[key] = None
        if len(keys) > _CACHE_SIZE:
            keys.popitem(last=False)

    def key(self, user: bytes, stored: bytes, password: bytes) -> bytes:
        """Return an HMAC over user, hash and password."""
        digest = hmac.new(self._secret, digestmod=hashlib.sha256)
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
