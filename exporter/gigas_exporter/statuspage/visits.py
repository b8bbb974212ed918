"""Owns how visitors of the status page are answered when many come at once.

A page of a large fleet costs tenths of a second of processor, which scrapes need too. So

- one page is rendered at a time;
- who asks for a page that was rendered of the same state gets the same bytes;
- the few who wait take turns by address, and the others are told to come again;
- once the exporter is ending, no page is begun.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from http import HTTPStatus
from typing import Final, NamedTuple

from gigas_exporter.clock import Clock
from gigas_exporter.statuspage.page import State, StatusPage
from gigas_exporter.statuspage.query import Query
from gigas_exporter.web import Request, Response
from gigas_exporter.web.message import plain
from gigas_exporter.web.turns import Call, Turns

__all__ = ["Visits"]

_MOST_WAITING: Final = 8  # who waits holds a connection that cannot be given up for a scrape
_MOST_KEPT: Final = 8  # of about 100 kB


class _Kept(NamedTuple):
    """A page, and which state it shows."""

    state: State
    body: bytes


class Visits:
    """Answers ``/``; safe to use from any thread.

    Args:
        page: What is shown; nobody else may render it.
        clock: Tells how long a page takes, and so how many may wait.
        is_ending: Whether the exporter is ending.
    """

    def __init__(self, page: StatusPage, clock: Clock, is_ending: Callable[[], bool] = lambda: False) -> None:
        self._page = page
        self._is_ending = is_ending
        self._turns = Turns(clock, _MOST_WAITING)
        self._kept: OrderedDict[Query, _Kept] = OrderedDict()  # only who has the turn changes it

    def answer(self, request: Request) -> Response:
        """Answer with the page that is asked for, or with 503 when too many others wait or the exporter is ending."""
        query = Query.of(request.query)
        body = self._fresh(query) or self._in_turn(request.party, query)
        if body is None:
            return plain(
                HTTPStatus.SERVICE_UNAVAILABLE, "too many ask for this page, or the exporter is ending", retry_after="1"
            )
        return Response(HTTPStatus.OK, self._page.headers, (body,))

    def _fresh(self, query: Query) -> bytes | None:
        kept = self._kept.get(query)
        return kept.body if kept is not None and kept.state == self._page.state() else None

    def _in_turn(self, party: str, query: Query) -> bytes | None:
        state = self._page.state()
        about = (state, query)
        call = self._turns.wait(party, about)
        if call is Call.TURN:
            try:
                return self._fresh(query) or (None if self._is_ending() else self._render(query))
            finally:
                self._turns.done(about)
        kept = self._kept.get(query)
        # Another's turn about the same has shown this state or a later one, unless it could not.
        return kept.body if call is Call.SETTLED and kept is not None and kept.state >= state else None

    def _render(self, query: Query) -> bytes:
        state = self._page.state()  # before the page, so that it is never taken for newer than it is
        body = self._page.render(query)
        self._kept[query] = _Kept(state, body)
        self._kept.move_to_end(query)
        if len(self._kept) > _MOST_KEPT:
            self._kept.popitem(last=False)
        return body
