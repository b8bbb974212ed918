"""Which requests are made again, how often and after how long."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from client.conftest import DISK, hang, replies
from gigas_exporter.clock import Deadline
from gigas_exporter.errors import ApiError, TransportError
from gigas_exporter.gigas.retry import parse_retry_after


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_three_times(api: Any, clock: Any, status: int) -> None:
    """Three tries in all, with waits of at most two seconds, each retry counted."""
    server = api(lambda seen, wire: wire.reply(status, b"x"))
    with pytest.raises(ApiError) as caught:
        api.client(server, clock=clock).get_disk("1", "2")
    assert caught.value.status == status
    assert caught.value.reason == ("rate_limited" if status == 429 else "server")
    assert api.ledger.requests == [("get_disk", str(status))] * 3
    assert api.ledger.retries == ["get_disk"] * 2
    assert all(0 <= wait <= 2 for wait in clock.waits)


@pytest.mark.parametrize("retry_after", [None, "3"])
def test_waits_are_drawn_from_nothing_to_their_most(api: Any, clock: Any, retry_after: str | None) -> None:
    """Full jitter, which doubles: exporters that failed together come back one by one, also when told when."""
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    server = api(lambda seen, wire: wire.reply(503, b"", headers))
    client = api.client(server, clock=clock)
    for _ in range(40):
        with pytest.raises(ApiError):
            client.get_disk("1", "2")
    asked = float(retry_after or 0)
    for waits, most in ((clock.waits[0::2], 0.5), (clock.waits[1::2], 1.0)):
        assert asked <= min(waits) < asked + 0.4 * most
        assert asked + 0.6 * most < max(waits) <= asked + most


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 422, 501])
def test_what_will_not_pass_is_not_tried_again(api: Any, status: int) -> None:
    """An answer that says "never" is taken at once."""
    server = api(lambda seen, wire: wire.reply(status, b"x"))
    with pytest.raises(ApiError, match=f"get_disk: the API answered {status}") as caught:
        api.client(server).get_disk("1", "2")
    assert caught.value.status == status
    assert len(server.seen) == 1


def test_a_second_try_that_succeeds_is_a_success(api: Any, clock: Any) -> None:
    """One failure is forgotten; the wax."""
    client = api.client(replies((429, b"", {"Retry-After": " 7 "}), (200, DISK)), clock=clock)
    assert client.get_disk("1", "2").id == "2"
    assert 7 <= clock.waits[0] <= 9


@pytest.mark.parametrize("value", ["soon", "1.5", "-5", "", "9" * 30, "Mon, 99 Foo 2024 00:00:00 GMT", None])
def test_a_retry_after_that_is_nonsense_is_ignored(value: str | None) -> None:
    """Then the usual wait applies."""
    assert parse_retry_after(value, 0.0) is None


def test_a_retry_after_that_the_budget_does_not_hold_is_not_begun(api: Any, clock: Any) -> None:
    """The error stands at once, and says what was asked."""
    server = api(lambda seen, wire: wire.reply(429, b"", {"Retry-After": "21600"}))
    with pytest.raises(ApiError) as caught:
        api.client(server, clock=clock).get_disk("1", "2", deadline=Deadline(clock, 60))
    assert caught.value.retry_after == 21600
    assert clock.waits == []
    assert len(server.seen) == 1


@pytest.mark.parametrize("may_retry", [True, False])
def test_what_got_no_response_is_tried_again_where_it_may(api: Any, clock: Any, *, may_retry: bool) -> None:
    """While other accounts wait it may not."""
    server = api(hang)
    deadline = Deadline(clock, 60.0, may_retry=lambda: may_retry)
    with pytest.raises(TransportError):
        api.client(server, clock=clock, timeout_seconds=0.2).get_disk("1", "2", deadline=deadline)
    assert len(server.seen) == (3 if may_retry else 1)


def test_a_wait_ends_with_the_process(api: Any) -> None:
    """A process that is told to stop waits for nothing."""
    stop = threading.Event()

    def script(seen: Any, wire: Any) -> None:
        wire.reply(503, b"", {"Retry-After": "30"})
        threading.Timer(0.2, stop.set).start()

    server = api(script)
    client = api.client(server)
    with pytest.raises((ApiError, TransportError)):
        client.get_disk("1", "2", deadline=Deadline(client._clock, 60, stop))
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("Thu, 01 Jan 1970 00:00:10 GMT", None),
        ("Thu, 01 Jan 1970 00:00:30 GMT", 10.0),
        ("0", 0.0),
        (" 7 ", 7.0),
    ],
)
def test_seconds_and_dates_are_understood(value: str, seconds: float | None) -> None:
    """A date in the past is no wait."""
    assert parse_retry_after(value, 20.0) == seconds


@pytest.mark.parametrize("zone", ["GMT", "UTC", "+0000", "-0000", ""])
def test_a_date_is_read_the_same_in_every_time_zone(monkeypatch: pytest.MonkeyPatch, zone: str) -> None:
    """The machine's own zone says nothing about the date of a server that leaves its zone out."""
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        assert parse_retry_after(f"Thu, 01 Jan 1970 00:00:30 {zone}".strip(), 20.0) == 10.0
    finally:
        monkeypatch.undo()
        time.tzset()
