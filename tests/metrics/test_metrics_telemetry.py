"""What the exporter counts of itself."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from gigas_exporter.errors import REASONS
from gigas_exporter.inventory import RESOURCES
from gigas_exporter.metrics import READ_OPERATIONS, Telemetry
from gigas_exporter.metrics.exporter_families import TOKEN_EXPIRY
from gigas_exporter.metrics.telemetry import CountedFamily
from support.timing import within


def _own(scene: Any, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in labels): number
        for (metric, labels), number in scene.series().items()
        if metric == name
    }


def test_poll_counters_are_there_at_zero(scene: Any) -> None:
    """An account's counters are all present before anything happened."""
    scene.telemetry.account("4242")
    assert _own(scene, "gigas_exporter_polls_total") == {("4242", resource): 0 for resource in RESOURCES}
    failures = {("4242", reason, resource): 0 for resource in RESOURCES for reason in REASONS}
    assert _own(scene, "gigas_exporter_poll_failures_total") == failures


def test_watching_an_account_again_keeps_its_counts(scene: Any) -> None:
    """A reload that names the same account resets nothing."""
    scene.telemetry.account("4242")
    scene.telemetry.poll("4242", "disks", "timeout")
    scene.telemetry.account("4242")
    assert _own(scene, "gigas_exporter_polls_total")["4242", "disks"] == 1
    assert _own(scene, "gigas_exporter_poll_failures_total")["4242", "timeout", "disks"] == 1


def test_a_forgotten_account_leaves_nothing(scene: Any) -> None:
    """Every series of the account goes, and none of another's."""
    for account_id in ("4242", "5151"):
        scene.telemetry.account(account_id)
        scene.telemetry.poll(account_id, "disks", "auth")
        scene.telemetry.invalid(account_id, "disks", "status", 1)
        scene.telemetry.token([account_id], 1_700_000_000.0)
    before = scene.series()
    scene.telemetry.forget({"4242"})
    after = scene.series()
    gone = {key for key in before if ("account_id", "4242") in key[1]}
    assert gone
    assert {key for key in before if key[0].startswith("gigas_")} - set(after) == gone


def test_many_accounts_are_forgotten_in_no_more_than_a_moment(scene: Any) -> None:
    """It took half a minute for two thousand, in which neither scrapes nor the end went on."""
    accounts = {str(number) for number in range(2000)}
    for account_id in accounts:
        scene.telemetry.account(account_id)
    with within(1.0):
        scene.telemetry.forget(accounts)
    assert not [key for key in scene.series() if dict(key[1]).get("account_id") in accounts]


def test_what_ends_after_an_account_was_forgotten_is_not_counted(scene: Any) -> None:
    """A poll or a login that was under way then brings no series back."""
    before = scene.series()
    scene.telemetry.account("4242")
    scene.telemetry.forget({"4242"})
    scene.telemetry.poll("4242", "disks", "timeout")
    scene.telemetry.invalid("4242", "disks", "status", 1)
    scene.telemetry.token(["4242"], 1_700_000_000.0)
    assert not {key for key in scene.series().keys() - before.keys() if key[0].startswith("gigas_")}


def test_requests_and_retries_are_counted_by_operation(scene: Any) -> None:
    """The histogram and the retries are there from the start; requests by code as they come."""
    count = "gigas_exporter_api_request_duration_seconds_count"
    assert _own(scene, count) == {(operation,): 0 for operation in READ_OPERATIONS}
    assert _own(scene, "gigas_exporter_api_retries_total") == {(operation,): 0 for operation in READ_OPERATIONS}
    assert _own(scene, "gigas_exporter_api_requests_total") == {}
    scene.telemetry.request("list_disks", "200", 0.2)
    scene.telemetry.request("list_disks", "500", 0.25)
    scene.telemetry.request("edit_disk", "202", 1.5)
    scene.telemetry.retry("list_disks")
    assert _own(scene, "gigas_exporter_api_requests_total") == {
        ("200", "list_disks"): 1,
        ("500", "list_disks"): 1,
        ("202", "edit_disk"): 1,
    }
    assert _own(scene, "gigas_exporter_api_request_duration_seconds_sum")["list_disks",] == pytest.approx(0.45)
    buckets = _own(scene, "gigas_exporter_api_request_duration_seconds_bucket")
    assert [buckets[bound, "list_disks"] for bound in ("0.1", "0.25", "+Inf")] == [0, 2, 2]
    assert [buckets[bound, "edit_disk"] for bound in ("1.0", "2.5", "+Inf")] == [0, 1, 1]
    assert _own(scene, "gigas_exporter_api_retries_total")["list_disks",] == 1


def test_invalid_values_are_counted_by_field(scene: Any) -> None:
    """Counts of one field add up; those of items that are left out for their id are there at 0."""
    scene.telemetry.account("4242")
    scene.telemetry.invalid("4242", "disks", "created_at", 2)
    scene.telemetry.invalid("4242", "disks", "created_at", 3)
    none_left_out = {("4242", "id", resource): 0 for resource in RESOURCES}
    counts = {("4242", "created_at", "disks"): 5, **none_left_out}
    assert _own(scene, "gigas_exporter_invalid_items_total") == counts


def test_a_tokens_end_is_told_of_each_of_its_accounts(scene: Any) -> None:
    """The end is there after a login that told one, and gone after a login that did not."""
    name = "gigas_exporter_api_token_expiry_timestamp_seconds"
    assert _own(scene, name) == {}
    scene.telemetry.account("4242")
    scene.telemetry.account("5151")
    scene.telemetry.token(["4242", "5151"], 1_700_001_800.0)
    assert _own(scene, name) == {("4242",): 1_700_001_800, ("5151",): 1_700_001_800}
    scene.telemetry.token(["4242"], None)
    assert _own(scene, name) == {("5151",): 1_700_001_800}


def test_reloads_are_told_as_prometheus_does(scene: Any) -> None:
    """Nothing before the first load; a failed part keeps the time when all parts last succeeded."""
    names = (
        "gigas_exporter_config_last_reload_successful",
        "gigas_exporter_config_last_reload_success_timestamp_seconds",
    )
    assert [_own(scene, name) for name in names] == [{}, {}]
    scene.telemetry.reload(True, 1_700_000_000.5)
    assert [_own(scene, name) for name in names] == [{(): 1}, {(): 1_700_000_000.5}]
    scene.telemetry.reload(False, 1_700_000_100.0)
    assert [_own(scene, name) for name in names] == [{(): 0}, {(): 1_700_000_000.5}]
    scene.telemetry.reload(True, 1_700_000_200.0, "web")
    assert [_own(scene, name) for name in names] == [{(): 0}, {(): 1_700_000_000.5}]
    scene.telemetry.reload(True, 1_700_000_300.0)
    assert [_own(scene, name) for name in names] == [{(): 1}, {(): 1_700_000_300}]


def test_whether_accounts_can_be_listed_is_told_only_where_they_are(scene: Any) -> None:
    """Nothing before the first list, and nothing any more once the accounts are configured."""
    name = "gigas_exporter_discovery_success"
    told = []
    for success in (True, False, None):
        told.append(_own(scene, name))
        scene.telemetry.discovery(success)
    assert [*told, _own(scene, name)] == [{}, {(): 1}, {(): 0}, {}]


def test_the_library_tells_of_the_process(scene: Any) -> None:
    """Process and interpreter are on the page, in both formats, without creation times."""
    for openmetrics in (False, True):
        names = {name for name, _ in scene.series(openmetrics=openmetrics)}
        assert {"process_resident_memory_bytes", "python_info", "gigas_exporter_build_info"} <= names
        assert not [name for name in names if name.endswith("_created")]


def test_without_the_process_openmetrics_still_ends() -> None:
    """The end mark does not depend on the library's part."""
    text = Telemetry().text(openmetrics=True, runtime=False)
    assert text.endswith(b"\n# EOF\n")
    assert b"process_" not in text


def test_what_is_no_number_is_not_written() -> None:
    """A gauge that was set to nonsense is left out, not written as such."""
    tally = CountedFamily(TOKEN_EXPIRY)
    tally.set(("4242",), float("nan"))
    assert tally.text(openmetrics=False) == ""


def test_counting_from_many_threads_loses_nothing(scene: Any) -> None:
    """Concurrent events are all counted, while scrapes read them."""
    scene.telemetry.account("4242")

    def count() -> None:
        for _ in range(500):
            scene.telemetry.request("list_disks", "200", 0.1)
            scene.telemetry.poll("4242", "disks", None)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        scene.text()
    for thread in threads:
        thread.join(10)
    assert _own(scene, "gigas_exporter_api_requests_total") == {("200", "list_disks"): 2000}
    assert _own(scene, "gigas_exporter_polls_total")["4242", "disks"] == 2000


@pytest.mark.parametrize("openmetrics", [False, True])
def test_each_event_shows_in_the_next_text(openmetrics: bool) -> None:
    """A text that was made before is not shown again once a counter, a gauge or a histogram has changed."""
    telemetry = Telemetry()
    telemetry.account("4242")

    def lines() -> set[str]:
        return set(telemetry.text(openmetrics=openmetrics, runtime=False).decode().splitlines())

    before = lines()
    assert lines() == before
    telemetry.poll("4242", "disks", None)
    assert 'gigas_exporter_polls_total{account_id="4242",resource="disks"} 1' in lines() - before
    telemetry.request("list_disks", "200", 0.01)
    assert 'gigas_exporter_api_request_duration_seconds_count{operation="list_disks"} 1' in lines() - before
    telemetry.token(["4242"], 5.0)
    assert 'gigas_exporter_api_token_expiry_timestamp_seconds{account_id="4242"} 5' in lines()
    telemetry.forget({"4242"})
    assert not [line for line in lines() if 'account_id="4242"' in line]
