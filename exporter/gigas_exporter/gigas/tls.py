"""Which certificate authorities the client trusts; the file of authorities may be rotated while it runs."""

from __future__ import annotations

import hashlib
import ssl
import threading
from pathlib import Path

from gigas_exporter.errors import ConfigError
from gigas_exporter.files import read_text
from gigas_exporter.gigas.settings import ApiSettings

# The system's own bundle of 140 authorities has 220 kB.
_MAX_FILE_BYTES = 16 * 2**20


class TrustStore:
    """The TLS context of one or more clients: building one takes some 20 ms and a megabyte.

    Raises:
        ConfigError: The file of authorities cannot be used.
    """

    def __init__(self, settings: ApiSettings) -> None:
        urls = (settings.url, settings.proxy or "")
        self._is_needed = settings.ca_file is not None or any(url.lower().startswith("https:") for url in urls)
        self._ca_file = settings.ca_file
        self._lock = threading.Lock()
        self._digest = b""
        self._context = self._build()

    @property
    def context(self) -> ssl.SSLContext | None:
        """The context to use now, ``None`` where nothing is encrypted; another object after the file has changed."""
        return self._context

    def reload(self, failed: ssl.SSLContext | None) -> bool:
        """Read the file of authorities again; return whether the context is another than the one that failed."""
        with self._lock:
            if self._context is failed and self._ca_file is not None:
                try:
                    self._context = self._build() or self._context
                except ConfigError:  # it may be about to be written
                    return False
            return self._context is not failed

    def _build(self) -> ssl.SSLContext | None:
        """Return a new context, ``None`` where none is needed or the file is the same."""
        if not self._is_needed:
            return None
        if self._ca_file is None:
            context = ssl.create_default_context()
        else:
            name = f"the file of authorities {self._ca_file}"
            pem = read_text(Path(self._ca_file), name, _MAX_FILE_BYTES)
            digest = hashlib.sha256(pem.encode()).digest()
            if digest == self._digest:
                return None
            try:
                # Comments between the certificates may have any character, and OpenSSL takes ASCII. With empty text
                # Python would trust the system's authorities.
                context = ssl.create_default_context(cadata=pem.encode("ascii", "ignore").decode() or "\n")
            except (ssl.SSLError, ValueError):
                raise ConfigError(f"{name}: holds no certificate") from None
            self._digest = digest
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return context
