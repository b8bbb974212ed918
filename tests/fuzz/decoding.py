"""The fuzz target: bytes from the API to the text that Prometheus reads.

``python tests/fuzz -max_total_time=600`` lets atheris look for inputs where that breaks, for as long as one
likes; without atheris, tests feed it what hypothesis makes up.
"""

from __future__ import annotations

import math
from collections import Counter
from contextlib import suppress
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from gigas_exporter.clock import SystemClock
from gigas_exporter.decode import (
    decode_account,
    decode_array,
    decode_backup,
    decode_disk,
    decode_items,
    decode_virtual_machine,
)
from gigas_exporter.errors import DecodeError
from gigas_exporter.inventory import AccountInventory, DiskSnapshot, MachineSnapshot, Outcome, StalenessLimits
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.model import Account, Disk, VirtualMachine
from gigas_exporter.policy import DEFAULT_POLICY
from gigas_exporter.poller.store import Store

__all__ = ["fuzz"]

_DECODERS: tuple[Any, ...] = (decode_disk, decode_virtual_machine, decode_backup, decode_account)


def fuzz(data: bytes) -> None:
    """Decode an answer of the kind that the first byte says, and show it; nothing but a DecodeError may come of it."""
    with suppress(DecodeError):
        decode = _DECODERS[data[0] % len(_DECODERS) if data else 0]
        raw = decode_array(data[1:], "fuzz")
        invalid: Counter[str] = Counter()
        items = decode_items(raw, decode, invalid)
        assert len(items) + invalid["id"] <= len(raw)
        for identity, item in items.items():
            assert identity == item.id
            _assert_sound(item)
        _show(items)


def _assert_sound(item: Any) -> None:
    for name in item.__slots__:
        value = getattr(item, name)
        if isinstance(value, str):
            assert len(value.encode()) <= 4 * 256
        elif isinstance(value, int | float):
            assert math.isfinite(value)


def _show(items: dict[str, Any]) -> None:
    disks = {key: item for key, item in items.items() if isinstance(item, Disk)}
    machines = {key: item for key, item in items.items() if isinstance(item, VirtualMachine)}
    now = SystemClock().monotonic()
    inventory = AccountInventory(
        Account("1"),
        StalenessLimits(60.0, 60.0),
        disks=DiskSnapshot(disks, dict.fromkeys(disks, now), now),
        machines=MachineSnapshot(machines, now),
        outcomes={"virtual_machines": Outcome(True, 0.1, None)},
    ).with_requirements(DEFAULT_POLICY)
    store = Store()
    store.replace(lambda _: {"1": inventory})
    page = MetricsRenderer(store, Telemetry(), SystemClock())
    text = b"".join(page.render(openmetrics=False, gzip=False).chunks).decode("utf-8")
    shown = {
        sample.labels["disk_id"]
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "gigas_disk_info"
    }
    assert shown == set(disks)
