"""The raw lists of an account, and whether the exporter accepts them.

Owns which lists are read and keeps each response undecoded, also that of a list that the client rejects. The requests
are the client's own, with its authentication, deadlines and limits.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gigas_exporter.decode import Decode
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ApiRequest, RawResponse
from gigas_exporter.report import paging_doubts

ListName = Literal["accounts", "disks", "virtual_machines", "backups", "disk_backups"]

_OPERATIONS: Final = {
    "list_accounts": "accounts",
    "list_disks": "disks",
    "list_virtual_machines": "virtual_machines",
    "list_backups": "backups",
    "list_disk_backups": "disk_backups",
}


class Recorder:
    """Keeps the responses of a client by operation; given to the client as ``on_response``."""

    def __init__(self) -> None:
        self._responses: list[tuple[str, RawResponse]] = []

    def __call__(self, request: ApiRequest[Any], answer: RawResponse) -> None:
        """Keep a response."""
        self._responses.append((request.operation, answer))

    def take(self) -> list[RawResponse]:
        """Return and drop the responses since the last call."""
        taken = [answer for operation, answer in self._responses if operation in _OPERATIONS]
        self._responses.clear()
        return taken


@dataclass(frozen=True, slots=True)
class ListReading:
    """One list as it was read.

    Attributes:
        decode: Decodes one item.
        responses: In the order in which they came; a list that changes may have been read twice.
        pages: The items of each response that holds a JSON array, ``None`` for another body.
        items: What the client made of the list, ``None`` when it rejected it.
        error: Why it did.
    """

    name: ListName
    decode: Decode[Any]
    responses: tuple[RawResponse, ...]
    pages: tuple[list[object] | None, ...]
    items: tuple[Any, ...] | None = None
    error: GigasError | None = None
    wrapper: str | None = None
    doubts: tuple[str, ...] = ()
    """The headers by which the list may have more items than were read."""

    @property
    def raw_items(self) -> list[object]:
        """The different items of all pages, unwrapped."""
        seen: dict[str, object] = {}
        for page in self.pages:
            for item in page or ():
                seen.setdefault(json.dumps(item, sort_keys=True), unwrapped(item)[0])
        return list(seen.values())

    @property
    def decoded_items(self) -> tuple[Any, ...]:
        """What the client made of the list, or else of each item."""
        if self.items is not None:
            return self.items
        return tuple(item for raw in self.raw_items if (item := self.decode(raw, Counter())) is not None)


def read_list(
    recorder: Recorder, name: ListName, read: Callable[[], Any], decoders: Mapping[str, Decode[Any]]
) -> ListReading:
    """Read a list with the recorder's client."""
    recorder.take()
    items, error = None, None
    doubts: tuple[str, ...] = ()
    try:
        listing = read()
        items, doubts = tuple(listing.items), paging_doubts(listing.invalid)
    except GigasError as failure:
        error = failure
    responses = tuple(recorder.take())
    pages = tuple(map(_page, responses))
    return ListReading(name, decoders[name], responses, pages, items, error, _wrapper(pages), doubts)


def _page(answer: RawResponse) -> list[object] | None:
    try:
        page = json.loads(answer.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return page if isinstance(page, list) else None


def unwrapped(item: object) -> tuple[object, str | None]:
    """Return an item and the key that it was wrapped in."""
    if isinstance(item, dict) and len(item) == 1 and "id" not in item:
        ((key, inner),) = item.items()
        if isinstance(inner, dict):
            return inner, str(key)
    return item, None


def _wrapper(pages: Iterable[list[object] | None]) -> str | None:
    return next((key for page in pages for item in page or () if (key := unwrapped(item)[1]) is not None), None)
