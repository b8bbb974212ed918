"""What a response's headers say of the whole list that its page is of."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["NO_PAGING", "PAGING_FIELDS", "PagingHeaders", "read_paging_headers"]

PAGING_FIELDS = frozenset({"total", "total_pages", "content_range", "link"})
"""The fields under which headers are counted that do not fit to what was read."""

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_RANGE = re.compile(r"(?:[a-z]+[ =])?(?:[0-9]+-[0-9]+|\*)/([0-9]{1,18}|\*)", re.ASCII | re.IGNORECASE)
_NEXT = re.compile(r";\s*rel\s*=\s*(?:\"[^\"]*\bnext\b[^\"]*\"|'[^']*\bnext\b[^']*'|next\b)", re.IGNORECASE)


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
    """

    total: int | None = None
    per_page: int | None = None
    pages: int | None = None
    range_total: int | None = None
    has_next: bool = False
    unreadable: frozenset[str] = frozenset()

    def contradicting(self, count: int, page_size: int, *, is_end_seen: bool) -> Iterator[str]:
        """Return the headers by which a list may have more than ``count`` items.

        Args:
            count: How many were read.
            page_size: How many were on the first page.
            is_end_seen: Whether nothing followed; a header that is not understood then says nothing.
        """
        if self.range_total is not None and self.range_total > count:
            yield "content_range"
        # A server that ignores the limit may count other pages; without X-Per-Page, X-Total is believed first.
        size = self.per_page or (0 if self.total == count else page_size)
        if self.pages is not None and self.pages > 1 and size and (self.pages - 1) * size >= count:
            yield "total_pages"
        if not is_end_seen:
            yield from self.unreadable


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
    return PagingHeaders(
        total,
        per_page,
        pages,
        int(range_match[1]) if range_match is not None and range_match[1] != "*" else None,
        has_next=_NEXT.search(headers.get("link", "")) is not None,
        unreadable=frozenset(name for name, is_so in unreadable.items() if is_so),
    )


def _number(text: str | None) -> int | None:
    """Return a header's number; one that was sent twice is joined by a comma."""
    parts = {part.strip() for part in (text or "").split(",")}
    part = parts.pop()
    return int(part) if not parts and _NUMBER.fullmatch(part) else None
