"""The pages of a list as they were read, and what they say together.

It knows neither the transport nor the order in which pages are asked for.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from gigas_exporter.errors import IncompleteError
from gigas_exporter.gigas.paging_headers import NO_PAGING, PagingHeaders

_V = TypeVar("_V")


@dataclass(frozen=True, slots=True)
class Page(Generic[_V]):
    """One page as it was read.

    Attributes:
        digest: Of the body.
        count: Items in the body.
        ids: A 64-bit hash of each id, each once, in order: enough to find an item that is on two pages.
        value: What was made of the items.
        invalid: By field, how many values were not understood.
        paging: What the server says of the whole list.
        has_content: Whether there was a body; an empty list may come without.
        valid_until: The last moment until which its value may be used again.
    """

    digest: bytes
    count: int
    ids: array[int]
    value: _V
    invalid: Mapping[str, int]
    paging: PagingHeaders = NO_PAGING
    has_content: bool = True
    valid_until: float = float("inf")

    @property
    def total(self) -> int | None:
        """Items in the whole list, where ``X-Total`` says so."""
        return self.paging.total

    def length(self, limit: int) -> int:
        """Return how far the next page is from this one, which was asked for with ``limit``.

        An item that is on it twice may take one place only, unless the page is exactly as long as was asked for.
        """
        return self.count if self.count == limit else len(self.ids) + self.invalid.get("id", 0)


NO_PAGE: Page[Any] = Page(b"", 0, array("q"), None, {})


Fetch = Callable[[int, int, int], Page[_V]]
"""Reads the page at an offset, with a limit; one with more items than the third number is a :class:`.DecodeError`."""

Ask = Callable[[int], Page[_V]]
"""Reads the page at an offset, asking for as many items as the first page had."""


class OneBelowTotalError(IncompleteError):
    """Both traversals had the same items, each once, and one less than the total.

    Attributes:
        pages: Those of the second one.
        total: What the server says.
        digest: Of the ids.
    """

    def __init__(self, message: str, pages: list[Page[Any]], total: int, digest: bytes) -> None:
        super().__init__(message)
        self.pages = pages
        self.total = total
        self.digest = digest


class ListTraversal(Generic[_V]):
    """All pages of a list, read once."""

    def __init__(self, pages: list[Page[_V]]) -> None:
        self.pages = pages
        self.ids = array("q")
        for page in pages:
            self.ids.extend(page.ids)
        self.has_repeats = len(set(self.ids)) != len(self.ids)
        self.totals = {page.paging.total for page in pages}
        self.total = max(total or 0 for total in self.totals)

    def is_complete(self) -> bool:
        """Return whether the items are as many as the total, each once."""
        # Where an id is twice on one page, the server may count it once or twice.
        possible = {None, len(self.ids), sum(page.count for page in self.pages)}
        return not self.has_repeats and len(self.totals) == 1 and self.totals <= possible

    def matches(self, ids: array[int]) -> bool:
        """Return whether the items are the very same, each once."""
        return not self.has_repeats and self.ids == ids
