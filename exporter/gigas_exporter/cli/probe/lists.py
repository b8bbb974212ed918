"""Record the raw lists that a client reads, and whether it accepts them.

Responses are kept undecoded, also those of a list that the client rejects. This module sends no requests of its own.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from gigas_exporter.cli.probe.fields import decoders
from gigas_exporter.clock import Clock
from gigas_exporter.decode import Decode
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import ApiRequest, ApiSettings, Credential, LoginStates, RawResponse, ReadClient
from gigas_exporter.report import paging_doubts


@dataclass
class ListReading:
    """One list as a client read it.

    Attributes:
        name: Such as ``disks``.
        decode: Decodes one item.
        responses: In order of arrival; a list that changed may have been read twice.
        error: Why the client rejected the list.
        is_needed: Whether the exporter needs it.
        doubts: The headers that say that there may be more items than were read.
        rejected: How many of the joined lists were rejected.
        alternative: The setting that makes the exporter read another, accepted list.
    """

    name: str
    decode: Decode[Any]
    responses: list[RawResponse] = field(default_factory=list)
    error: GigasError | None = None
    is_needed: bool = True
    doubts: tuple[str, ...] = ()
    rejected: int = 0
    alternative: str = ""

    @property
    def is_asked(self) -> bool:
        """Whether the list has a response or an error."""
        return bool(self.responses) or self.error is not None

    @property
    def is_accepted(self) -> bool:
        """Whether the list was read and not rejected."""
        return bool(self.responses) and self.error is None

    @cached_property
    def pages(self) -> list[list[object] | None]:
        """The items of each response; ``None`` for a body that is not a JSON array."""
        return [_page(response) for response in self.responses]

    @cached_property
    def raw_items(self) -> list[object]:
        """The distinct items of all pages, unwrapped."""
        seen: dict[str, object] = {}
        for page in self.pages:
            for item in page or ():
                seen.setdefault(json.dumps(item, sort_keys=True), unwrapped(item)[0])
        return list(seen.values())

    @cached_property
    def decoded_items(self) -> tuple[Any, ...]:
        """The readable items; the last one of those with the same id."""
        items = (self.decode(raw, Counter()) for raw in self.raw_items)
        return tuple({item.id: item for item in items if item is not None}.values())

    @cached_property
    def wrapper(self) -> str | None:
        """The key in which items are wrapped, if any."""
        return next(
            (key for page in self.pages for item in page or () if (key := unwrapped(item)[1]) is not None), None
        )


def join_lists(lists: Mapping[str, ListReading], is_relevant: Callable[[str], bool]) -> ListReading:
    """Join lists of the same kind, with the errors of the relevant ones."""
    first = next(iter(lists.values()))
    errors = [each.error for key, each in lists.items() if each.error is not None and is_relevant(key)]
    return ListReading(
        first.name,
        first.decode,
        [response for each in lists.values() for response in each.responses],
        error=errors[0] if errors else None,
        doubts=tuple(dict.fromkeys(header for each in lists.values() for header in each.doubts)),
        rejected=len(errors),
    )


class Recorder:
    """Records the lists that its client reads, by path."""

    def __init__(self, settings: ApiSettings, wall: float, progress: Callable[[int], None] = lambda _: None) -> None:
        self._settings = settings
        self._decoders = decoders(settings, wall)
        self._progress = progress
        self.lists: dict[str, ListReading] = {}

    def client(self, credential: Credential, *, clock: Clock, login_states: LoginStates) -> ReadClient:
        """Return a client whose lists are recorded."""
        return ReadClient(
            self._settings,
            credential,
            clock=clock,
            login_states=login_states,
            on_response=self._on_response,
            on_list=self._on_list,
        )

    def get(self, name: str, path: str) -> ListReading:
        """Return the recorded list of a path; empty if it was not read."""
        return self.lists.setdefault(path, ListReading(name, self._decoders[name]))

    def _on_response(self, request: ApiRequest[Any], response: RawResponse) -> None:
        name = request.operation.removeprefix("list_")
        if name in self._decoders:
            self.get(name, request.path).responses.append(response)

    def _on_list(self, request: ApiRequest[Any], outcome: Mapping[str, int] | GigasError) -> None:
        reading = self.get(request.operation.removeprefix("list_"), request.path)
        if isinstance(outcome, GigasError):
            reading.error, reading.doubts = outcome, ()
        else:
            reading.error, reading.doubts = None, paging_doubts(outcome)
        self._progress(len(self.lists))


def _page(answer: RawResponse) -> list[object] | None:
    try:
        page = json.loads(answer.body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return page if isinstance(page, list) else None


def unwrapped(item: object) -> tuple[object, str | None]:
    """Return an item and the key in which it was wrapped, if any."""
    if isinstance(item, dict) and len(item) == 1 and "id" not in item:
        ((key, inner),) = item.items()
        if isinstance(inner, dict):
            return inner, str(key)
    return item, None
