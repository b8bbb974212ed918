"""Turns responses into pages; unchanged ones are not decoded again.

It knows neither the transport nor the order in which pages are requested.
"""

from __future__ import annotations

import threading
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from hashlib import blake2b
from http import HTTPStatus
from typing import Any, Generic, TypeVar

from gigas_exporter.decode import Decode, InvalidFields, decode_array, decode_items
from gigas_exporter.errors import DecodeError, IncompleteError, TransportError
from gigas_exporter.gigas.http_response import RawResponse
from gigas_exporter.gigas.pages import Page, read_paging_headers
from gigas_exporter.model import Account, Backup, Disk, VirtualMachine

_DIGEST_BYTES = 16
# Items decoded between two checks whether the work has ended: some hundredths of a second.
_ITEMS_AT_ONCE = 4096
# Parsed, a response takes up to 40 times its size. Large ones are decoded one by one, which is no slower.
_LARGE_BYTES = 2**20
_large_lock = threading.Lock()

_T = TypeVar("_T")
_V = TypeVar("_V")
_Item = TypeVar("_Item", Account, Backup, Disk, VirtualMachine)


@dataclass(frozen=True, slots=True)
class Listing(Generic[_T]):
    """A list that was read whole.

    Attributes:
        items: In the API's order; of items with the same id the last one.
        invalid: Number of values by field that were not understood; ``total`` and others are 1 where headers of the API
            say, or may say, that the list has more items.
        has_content: Whether there was a body; a 204 means an empty list or a passing fault.
    """

    items: tuple[_T, ...]
    invalid: Mapping[str, int]
    has_content: bool = True


@dataclass(frozen=True, slots=True)
class PageReader(Generic[_Item, _V]):
    """Turns the responses of one traversal into pages.

    Attributes:
        make: Makes a page's value from its items by id.
        known: Pages that need not be decoded again, by digest.
        latest: UNIX seconds; later dates are counted as invalid.
        logged_fields: Fields that were already logged as not understood.
        ended: Set when the work that the traversal is for has ended.
    """

    operation: str
    decode: Decode[_Item]
    make: Callable[[dict[str, _Item]], _V]
    known: Mapping[bytes, Page[_V]]
    latest: float
    logged_fields: set[str]
    ended: threading.Event

    def read(self, response: RawResponse, at_most: int) -> Page[_V]:
        """Return the page in a response.

        Raises:
            DecodeError: The response is neither a JSON array with status 200 nor a 204 without a body, or holds more
                than ``at_most`` items.
            IncompleteError: Two different items have the same id.
            TransportError: The work ended before all items were decoded.
        """
        with _large_lock if len(response.body) > _LARGE_BYTES else nullcontext():
            return self._read(response, at_most)

    def _read(self, response: RawResponse, at_most: int) -> Page[_V]:
        paging = read_paging_headers(response.headers)
        if response.status == HTTPStatus.NO_CONTENT and not response.body:
            return Page(b"", 0, array("q"), self.make({}), {}, paging, has_content=False)
        check_status(response, self.operation)
        digest = blake2b(response.body, digest_size=_DIGEST_BYTES).digest()
        known = self.known.get(digest)
        if known is not None and self.latest <= known.valid_until:
            return replace(known, paging=paging)
        self._raise_if_stopped()
        raw_items = decode_array(response.body, self.operation)
        count = len(raw_items)
        if count > at_most:
            raise DecodeError("body", f"the response to {self.operation} holds more than {at_most} items")
        invalid = InvalidFields(self.logged_fields)
        items: dict[str, _Item] = {}
        for start in range(0, count, _ITEMS_AT_ONCE):
            self._raise_if_stopped()
            part = raw_items[start : start + _ITEMS_AT_ONCE]
            items.update(decode_items(part, self.decode, invalid, self.latest))
        if len(items) + invalid["id"] < count:
            self._raise_if_contradictory(raw_items, items)
        ids = array("q", map(hash, items))
        return Page(digest, count, ids, self.make(items), dict(invalid), paging, valid_until=invalid.valid_until)

    def _raise_if_contradictory(self, raw_items: Iterable[object], items: Mapping[str, _Item]) -> None:
        """Raise an error if two different items have the same id.

        If they differ only in fields that change while a list is read, the last one counts.
        """
        for raw in raw_items:
            item = self.decode(raw, InvalidFields(self.logged_fields), self.latest)
            if item is not None and _without_state(item) != _without_state(items[item.id]):
                raise IncompleteError(f"{self.operation}: two different items have the same id, so either may be wrong")

    def _raise_if_stopped(self) -> None:
        if self.ended.is_set():
            raise TransportError(self.operation, "timeout", "the work was stopped while the response was read")


def _without_state(item: _Item) -> _Item:
    """Return an item without the fields that often change."""
    return replace(item, status=None, locked=None, updated_at=None) if isinstance(item, Disk) else item


def check_status(response: RawResponse, operation: str) -> None:
    """Raise an error unless the status is 200."""
    if response.status != HTTPStatus.OK:
        raise DecodeError("body", f"the response to {operation} has status {response.status}, not 200")


def sum_invalid(pages: Iterable[Page[Any]]) -> Mapping[str, int]:
    """Return the sum of the pages' invalid values."""
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update(page.invalid)
    return dict(counts)
