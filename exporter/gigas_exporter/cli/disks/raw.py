"""The API's own values of disks and backups.

Owns that nothing is kept under a name that may be that of a secret.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from http import HTTPStatus
from typing import Any, Final

from gigas_exporter.decode import Decoder
from gigas_exporter.gigas import ApiRequest, ApiSettings, RawResponse

_SECRET: Final = re.compile(r"pass|pwd|token|secret|key|auth|credential|contrase|clave", re.IGNORECASE)
_OPERATIONS: Final = ("get_disk", "list_disks", "list_disk_backups")


class RawItems:
    """Keeps items of responses; given as ``on_response``."""

    def __init__(self, settings: ApiSettings) -> None:
        self._decoder = Decoder(settings.decoding)
        self._items: dict[str, dict[str, Any]] = {}
        self._all: dict[str, dict[str, Any]] = {}

    def __call__(self, request: ApiRequest[Any], response: RawResponse) -> None:
        """Keep the items of a response, by id."""
        if request.operation not in _OPERATIONS or response.status != HTTPStatus.OK:
            return
        decode = self._decoder.backup if request.operation == "list_disk_backups" else self._decoder.disk
        try:
            body = json.loads(response.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return  # the client says what is wrong with it
        kept, shown = (items.setdefault(request.operation, {}) for items in (self._items, self._all))
        for raw in body if isinstance(body, list) else [body]:
            value = without_secrets(raw)
            shown[json.dumps(value)] = value
            item = decode(raw, Counter())
            if item is not None:
                kept[item.id] = value

    def get(self, operation: str, item_id: str) -> Any:
        """Return an item as the API sent it, ``None`` where it was not read."""
        return self._items.get(operation, {}).get(item_id)

    def take_all(self, operation: str) -> list[Any]:
        """Return and drop all different items of a list, also those without id."""
        return list(self._all.pop(operation, {}).values())


def without_secrets(value: Any) -> Any:
    """Return a value without what may be a secret by its name."""
    if isinstance(value, dict):
        return {name: without_secrets(part) for name, part in value.items() if not _SECRET.search(name)}
    if isinstance(value, list):
        return [without_secrets(part) for part in value]
    return value
