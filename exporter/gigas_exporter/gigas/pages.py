"""The pages of a list, and what their headers say of the whole list.

It knows neither the transport nor the order in which pages are asked for.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

PAGING_FIELDS = frozenset({"total", "total_pages", "content_range", "link"})
"""The fields under which headers are counted that do not fit to what was read."""

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_RANGE = re.compile(r"(?:[a-z]+[ =])?(?:[0-9]+-[0-9]+|\*)/([0-9]{1,18}|\*)", re.ASCII | re.IGNORECASE)
_REL = r";\s*rel\s*=\s*(?:\"[^\"]*\b{0}\b[^\"]*\"|'[^']*\b{0}\b[^']*'|{0}\b)"
_NEXT, _LAST = (re.compile(_REL.format(rel), re.IGNORECASE) for rel in ("next", "last"))
_PLACE = re.compile(r"[?&](page|offset)=([0-9]{1,18})(?![^&#])", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"\"(\w+)\"\s*:\s*\"?([^\",{}\[\]]*)", re.ASCII)
# Names that pagers use, without X and in one word: of the number of all items, and of what there is after a page.
_TOTALS = frozenset({"total", "totalcount", "totalitems", "totalelements", "totalrecords", "paginationcount"})
_NEXTS = frozenset({"nextpage", "nextcursor", "nexttoken", "nextoffset", "nextrange", "hasmore", "hasnext"})
_NOTHING = frozenset({"", "0", "false", "null", "none", "no"})


@dataclass(frozen=True, slots=True)
class PagingHeaders:
    """What the headers of one page say.

    Attributes:
        total: Items in the whole list.
        per_page: Items in a full page.
        pages: Pages of the whole list.
        range_total: Items in the whole list, by ``Content-Range``.
        has_next: Whether there is a page after this one, by ``Link``.
        unreadable: Those of :data:`PAGING_FIELDS` that are there and are not understood.
        other_total: The most items that the whole list has by any header, or key of ``X-Pagination``.
        names_next: Whether another header than ``Link``, such as ``X-Next-Page``, says that there is a page after this.
        last_page: The number of the last page, by ``Link``.
        last_offset: The offset of the last page, by ``Link``.
    """

    total: int | None = None
    per_page: int | None = None
    pages: int | None = None
    range_total: int | None = None
    has_next: bool = False
    unreadable: frozenset[str] = frozenset()
    other_total: int = 0
    names_next: bool = False
    last_page: int = 0
    last_offset: int = 0

    @property
    def says_more(self) -> bool:
        """Whether any header says that there is a page after this one."""
        return self.has_next or self.names_next

    def contradicting(self, count: int, page_size: int, *, is_end_seen: bool) -> Iterator[str]:
        """Return the headers by which a list may have more than ``count`` items.

        Args:
            count: How many were read.
            page_size: How many were on the first page.
            is_end_seen: Whether nothing followed; what is not understood, or not of this API, then says nothing.
        """
        if self.range_total is not None and self.range_total > count:
            yield "content_range"
        # A server that ignores the limit may count other pages; without X-Per-Page, X-Total is believed first.
        size = self.per_page or (0 if self.total == count else page_size)
        if self.pages is not None and self.pages > 1 and size and (self.pages - 1) * size >= count:
            yield "total_pages"
        if is_end_seen:
            return
        yield from self.unreadable
        if self.other_total > count:
            yield "total"
        if max((self.last_page - 1) * (size or page_size), self.last_offset) >= count > 0:
            yield "link"
        if self.total is None and self.per_page == page_size == count:
            yield "total_pages"  # a full page that came for another one, too


NO_PAGING = PagingHeaders()


def read_paging_headers(headers: Mapping[str, str]) -> PagingHeaders:
    """Read the headers, whose names are in lower case."""
    total_text = headers.get("x-total", headers.get("x-total-count"))
    total, per_page, pages = map(_number, (total_text, headers.get("x-per-page"), headers.get("x-total-pages")))
    range_text = headers.get("content-range")
    range_match = _RANGE.fullmatch(range_text.strip()) if range_text is not None else None
    unreadable = {
        "total": total_text is not None and total is None,
        "total_pages": "x-total-pages" in headers and pages is None,
        "content_range": range_text is not None and range_match is None,
    }
    said = [(name.removeprefix("x-").replace("-", ""), text) for name, text in headers.items()]
    said += [(name.lower().replace("_", ""), text) for name, text in _PAIR.findall(headers.get("x-pagination", ""))]
    last = _last_places(headers.get("link", ""))
    return PagingHeaders(
        total,
        per_page,
        pages,
        int(range_match[1]) if range_match is not None and range_match[1] != "*" else None,
        has_next=_NEXT.search(headers.get("link", "")) is not None,
        unreadable=frozenset(name for name, is_so in unreadable.items() if is_so),
        other_total=max((_number(text) or 0 for name, text in said if name in _TOTALS), default=0),
        names_next=any(name in _NEXTS and text.strip().lower() not in _NOTHING for name, text in said),
        last_page=last.get("page", 0),
        last_offset=last.get("offset", 0),
    )


def _last_places(link: str) -> Mapping[str, int]:
    """Return page and offset of the last page's address."""
    addresses = (part.partition(">") for part in link.split("<")[1:])
    found = [_PLACE.findall(address) for address, _, parameters in addresses if _LAST.search(parameters)]
    return {name.lower(): int(number) for places in found for name, number in places}


def _number(text: str | None) -> int | None:
    """Return a header's number, ``None`` if it is none, or was sent with several."""
    parts = {part.strip() for part in (text or "").split(",")}
    part = parts.pop()
    return int(part) if not parts and _NUMBER.fullmatch(part) else None


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
        """Return the distance from this page to the next.

        An item that is on it twice may take one place only, unless the page is exactly as long as was asked for.
        """
        return self.count if self.count == limit else len(self.ids) + self.invalid.get("id", 0)


NO_PAGE: Page[Any] = Page(b"", 0, array("q"), None, {})
