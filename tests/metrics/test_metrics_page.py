"""The page under load: whole expositions, shared work, and bytes that other programs can read."""

from __future__ import annotations

import gzip
import re
import threading
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.inventory import AccountInventory, DiskSnapshot, PollStatus
from gigas_exporter.metrics import OPENMETRICS, TEXT
from gigas_exporter.model import Disk

Fleet = Callable[..., AccountInventory]


def _of_size(inventory: AccountInventory, disks: int, status: str) -> AccountInventory:
    """Return the account with so many disks, all of one status, each with the summary of the fleet's first."""
    assert inventory.backups is not None
    ids = [str(number) for number in range(disks)]
    summaries = dict.fromkeys(ids, inventory.backups.summaries["101"])
    reading = DiskSnapshot({each: Disk(each, status=status) for each in ids}, dict.fromkeys(ids, 0.0), 1000.0)
    return replace(inventory, disks=reading, backups=replace(inventory.backups, summaries=summaries))


def test_content_types_and_encodings_are_named(scene: Any) -> None:
    """An exposition says what it is."""
    plain = scene.page.render(openmetrics=False, gzip=False)
    packed = scene.page.render(openmetrics=True, gzip=True)
    assert (plain.content_type, plain.content_encoding) == (TEXT, None)
    assert (packed.content_type, packed.content_encoding) == (OPENMETRICS, "gzip")


@pytest.mark.parametrize("disks", [0, 1, 3000])
def test_gzip_is_one_sound_member(scene: Any, fleet: Fleet, disks: int) -> None:
    """The compressed page is a single gzip member with a right checksum and length, whatever its size."""
    scene.show(_of_size(fleet(), disks, "ok"))
    packed = b"".join(scene.page.render(openmetrics=True, gzip=True).chunks)
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    text = stream.decompress(packed)
    assert stream.eof
    assert stream.unused_data == b""
    assert gzip.decompress(packed) == text
    assert text.count(b"\ngigas_disk_backup_age_seconds{") == disks
    assert text.endswith(b"# EOF\n")


@pytest.mark.parametrize("accounts", [1, 40])
def test_large_and_many_pieces_read_the_same(scene: Any, fleet: Fleet, accounts: int) -> None:
    """However the page is cut into chunks, it is the same page; small pieces are sent together."""
    scene.show(*(_of_size(fleet(str(number)), 6000 // accounts, "ok") for number in range(accounts)))
    plain = scene.page.render(openmetrics=False, gzip=False).chunks
    end = "# HELP gigas_exporter_build_info"
    assert scene.text(gzip=True).split(end)[0] == b"".join(plain).decode().split(end)[0]
    assert len(plain) < 40


def test_an_unchanged_source_is_not_rendered_again(scene: Any, fleet: Fleet) -> None:
    """Refreshing for a version that is shown already asks the source for nothing."""
    scene.show(fleet())
    before = scene.source.readings
    scene.page.refresh()
    scene.text()
    assert scene.source.readings == before


def test_one_accounts_change_leaves_the_others_as_they_are(scene: Any, fleet: Fleet) -> None:
    """What has not changed is not rendered again: the very bytes of the large pieces stay."""
    inventory = _of_size(fleet("1"), 5000, "ok")
    scene.show(inventory, fleet("2"))

    def large() -> list[bytes]:
        chunks: tuple[bytes, ...] = scene.page.render(openmetrics=False, gzip=False).chunks
        return [chunk for chunk in chunks if len(chunk) > 200_000 and b"_age_seconds" not in chunk]

    before = large()
    scene.show(inventory, fleet("2", 1001.0).with_outcome("disks", PollStatus(False, 1.0, None)))
    assert len(before) > 5
    assert all(new is old for new, old in zip(large(), before, strict=True))
    assert scene.values("gigas_up") == {"1": 1, "2": 0}


def test_many_refreshes_at_once_render_once(scene: Any, fleet: Fleet) -> None:
    """Publishers that come while one renders find their change shown."""
    scene.source.put(_of_size(fleet(), 2000, "ok"))
    before = scene.source.readings
    threads = [threading.Thread(target=scene.page.refresh) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert scene.source.readings == before + 1
    assert len(scene.values("gigas_disk_info")) == 2000


def test_a_scrape_sees_one_moment(scene: Any, fleet: Fleet) -> None:
    """While data is replaced again and again, no exposition is half of one and half of the next."""
    small, large = _of_size(fleet(), 300, "small"), _of_size(fleet(), 900, "large")
    scene.show(small)
    ended = threading.Event()

    def publish() -> None:
        for turn in range(12):
            scene.show(large if turn % 2 == 0 else small)
        ended.set()

    publisher = threading.Thread(target=publish)
    publisher.start()
    seen = set()
    while True:
        last = ended.is_set()
        for packed in (False, True):
            text = scene.text(gzip=packed, openmetrics=packed)
            counts = [
                len(re.findall(rf"(?m)^{name}{{", text))
                for name in ("gigas_disk_info", "gigas_disk_backup_age_seconds")
            ]
            statuses = set(re.findall(r'status="(small|large)"', text))
            assert (counts, statuses) in (([300, 300], {"small"}), ([900, 900], {"large"}))
            seen.update(statuses)
        if last:
            break
    publisher.join(20)
    assert seen == {"small", "large"}


def test_scrapes_of_one_second_share_the_ages(scene: Any, fleet: Fleet) -> None:
    """The ages are written once a second, compressed or not, and anew for the next."""
    scene.show(_of_size(fleet(), 60, "ok"))

    def ages() -> bytes:
        chunks: tuple[bytes, ...] = scene.page.render(openmetrics=False, gzip=False).chunks
        return next(chunk for chunk in chunks if chunk.startswith(b"# HELP gigas_disk_backup_age_seconds"))

    first = ages()
    scene.clock.move(0.4)
    scene.text(gzip=True)
    assert ages() is first
    scene.clock.move(0.6)
    assert ages() != first
