"""A fixed token or API key, and what follows when the API rejects it.

It cannot be renewed; when the API rejects it, its source is read again, for it may have been rotated.
"""

from __future__ import annotations

import threading
from http import HTTPStatus

from gigas_exporter.clock import Deadline
from gigas_exporter.gigas.auth_header import AuthHeader, header_value, other_scheme, without_scheme
from gigas_exporter.gigas.credentials import SecretSource
from gigas_exporter.gigas.login import Scheme
from gigas_exporter.secret import Secret


class SecretAuth:
    """A fixed token or an API key.

    Args:
        kind: What it is, for error messages.
        is_fixed: Whether it is sent in no other way when the API rejects it.
    """

    def __init__(self, source: SecretSource, kind: str, scheme: Scheme, *, is_fixed: bool) -> None:
        self._source = source
        self._kind = kind
        self._first_scheme: Scheme = scheme
        self._scheme: Scheme = scheme
        self._is_fixed = is_fixed
        self._lock = threading.Lock()
        self._secret: Secret | None = None
        self._must_read = True
        self._generation = 0
        self._rejected_schemes: set[Scheme] = set()

    @property
    def secret_name(self) -> str:
        """What the user would have to replace."""
        return f"the {self._kind} in {self._source.origin}"

    def header(self, deadline: Deadline) -> AuthHeader:
        """Return the header of the secret last read."""
        del deadline  # reading a file is no wait
        with self._lock:
            if self._must_read:
                self._read()
            assert self._secret is not None  # noqa: S101  (narrows the type)
            return AuthHeader(header_value(self._scheme, self._secret), self._generation)

    def on_success(self, used: AuthHeader) -> None:
        """Note that the scheme is the right one."""
        with self._lock:
            if used.generation == self._generation:
                self._is_fixed = True
                self._rejected_schemes = set()

    def on_rejected(self, used: AuthHeader, status: int, deadline: Deadline) -> bool:
        """Return whether to send the request once more, with what ``header()`` gives then.

        It reads the secret again, and where it is the same, uses the other scheme unless one was accepted before.
        """
        del deadline
        with self._lock:
            is_other_untried = not self._rejected_schemes
            if self._generation != used.generation:
                return is_other_untried or len(self._rejected_schemes) == 1
            if self._read():
                return True
            if self._is_fixed or status != HTTPStatus.UNAUTHORIZED:
                return False
            # Where both were rejected they are sent in turn, one a time: the API may have rejected all for a while.
            self._rejected_schemes = {*self._rejected_schemes, self._scheme}
            self._scheme = other_scheme(self._scheme)
            self._generation += 1
            return is_other_untried

    def reload(self) -> None:
        """Read the secret again before the next request."""
        self._must_read = True

    def _read(self) -> bool:
        """Read the secret; return whether it is another one."""
        secret = without_scheme(self._source.read())
        header_value(self._scheme, secret)
        self._must_read = False
        if secret == self._secret:
            return False
        self._secret = secret
        if not self._is_fixed:
            self._scheme, self._rejected_schemes = self._first_scheme, set()
        self._generation += 1
        return True
