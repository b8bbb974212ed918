"""Many visitors of the status page at once: one page is rendered at a time, and those who cannot wait are told so."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

import pytest

from gigas_exporter.inventory import AccountInventory
from gigas_exporter.statuspage import StatusPage
from gigas_exporter.statuspage.query import Query
from statuspage.conftest import Serve, Site
from statuspage.inventories import account, disks_of

WAITING = 8


class Held:
    """Data that are read when the test says so, and how many read them at once."""

    def __init__(self, site: Any) -> None:
        self._go_on = threading.Event()
        self.readers = self.most = 0
        self.known: Callable[[], tuple[AccountInventory, ...]] = site.source.snapshot
        site.source.snapshot = self._snapshot
        site.clock.wall_at = 1_900_000_000.25

    def go_on(self) -> None:
        """Let the data be read from now on, once those who came have had a moment to take their places."""
        time.sleep(0.1)
        self._go_on.set()

    def _snapshot(self) -> tuple[AccountInventory, ...]:
        self.readers += 1
        self.most = max(self.most, self.readers)
        assert self._go_on.wait(20)
        self.readers -= 1
        return self.known()


Ask = Callable[..., socket.socket]


@pytest.fixture
def ask() -> Iterator[Ask]:
    """Ask for a page from an address of loopback, without waiting for the answer."""
    with ExitStack() as held:

        def begin(site: Site, target: str = "/", host: str = "127.0.0.1") -> socket.socket:
            client = socket.create_connection(site.address, timeout=20, source_address=(host, 0))
            held.enter_context(client)
            seen = len(site.visited)
            client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            while len(site.visited) == seen:
                time.sleep(0.001)
            return client

        yield begin


def _answer(client: socket.socket) -> bytes:
    with client.makefile("rb") as stream:
        return stream.read()


def _statuses(clients: list[socket.socket]) -> list[bytes]:
    return [_answer(client).split(b" ")[1] for client in clients]


@pytest.fixture
def rendered(monkeypatch: pytest.MonkeyPatch) -> list[Query]:
    """What was rendered."""
    done: list[Query] = []
    render = StatusPage.render

    def counted(page: StatusPage, query: Query) -> tuple[HTTPStatus, bytes]:
        done.append(query)
        return render(page, query)

    monkeypatch.setattr(StatusPage, "render", counted)
    return done


def test_one_page_is_rendered_and_few_wait(site: Serve, ask: Ask) -> None:
    """Those beyond are told at once to come again; the others get their pages, one after the other."""
    served = site(account(disks_of(250)))
    held = Held(served)
    first = ask(served)
    others = [ask(served) for _ in range(WAITING + 20)]
    others[-1].settimeout(5)
    refusal = _answer(others[-1])
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: 1\r\n" in refusal
    held.go_on()
    statuses = _statuses([first, *others[:-1]])
    assert statuses.count(b"200") == 1 + WAITING
    assert statuses.count(b"503") == 19
    assert held.most == 1


def test_who_floods_keeps_no_other_address_out(site: Serve, ask: Ask) -> None:
    """A visitor of another address finds room although all of it is taken by one."""
    served = site(account(disks_of(250)))
    held = Held(served)
    flood = [ask(served, f"/?page={number}") for number in range(50)]
    other = ask(served, "/?sort=age", "127.0.0.2")
    held.go_on()
    assert _statuses([other]) == [b"200"]
    assert b"503" in _statuses(flood)


def test_the_same_page_of_the_same_state_is_rendered_once(site: Serve, ask: Ask, rendered: list[Query]) -> None:
    """Also for those who came while it was rendered; another query or a change of the data makes another."""
    served = site(account(disks_of(250)))
    held = Held(served)
    clients = [ask(served, "/?q=srv") for _ in range(5)]
    held.go_on()
    assert len({_answer(client).partition(b"\r\n\r\n")[2] for client in clients}) == 1
    assert served.get(q=" srv ", other="1").status_code == 200
    assert rendered == [Query(search="srv")]
    served.get()
    assert len(rendered) == 2
    served.source.put(*served.source.snapshot())
    served.get(q="srv")
    assert len(rendered) == 3


def test_few_pages_are_kept(site: Serve, rendered: list[Query]) -> None:
    """What was rendered longest ago is rendered again, what was rendered lately is not."""
    served = site(account(disks_of(3)))
    served.clock.wall_at = 1_900_000_000.25
    for number in (*range(20), 19, 0):
        served.get(q=str(number))
    assert [query.search for query in rendered] == [*map(str, range(20)), "0"]


def test_a_page_that_breaks_holds_nobody(site: Serve, ask: Ask) -> None:
    """Each that waits is told of it, and the next page is made."""
    served = site(account(disks_of(3)))
    held = Held(served)
    known, held.known = held.known, lambda: 1 / 0  # type: ignore[assignment,return-value]
    clients = [ask(served) for _ in range(3)]
    held.go_on()
    assert sorted(_statuses(clients)) == [b"500"] * 3
    held.known = known
    assert served.get().status_code == 200
