"""The page of one disk, the chart of the fleet, and a page that loads itself again."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
import yaml

from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.backup_summary import BackupSummary, summarize_backups
from gigas_exporter.inventory import AccountInventory, BackupSnapshot
from gigas_exporter.model import Backup, Disk
from gigas_exporter.policy import Thresholds
from gigas_exporter.report import Finding, command_for, explain_all, explain_finding
from gigas_exporter.statuspage.chart import count_ages
from statuspage.browser import Browser
from statuspage.conftest import Serve
from statuspage.inventories import HOSTILE, account, disks_of, machine_of, reports_of

Fleet = tuple[AccountInventory, ...]
_ALERTS = Path(__file__).parents[2] / "alerts"


@pytest.mark.parametrize("look", [{}, {"scheme": "dark", "width": 390, "height": 844}])
def test_each_kind_of_disk_has_a_page_for_everybody(
    browser: Browser, site: Serve, fleet: Fleet, look: dict[str, Any]
) -> None:
    """With each finding that a disk can have here, axe-core finds nothing and nothing is wider than the window.

    Another look gives another colour to each severity, so that axe-core looks at one disk of each there.
    """
    served = site(*fleet)
    shown = {report.findings: report for report in reports_of(fleet)}
    assert len(shown) >= 12
    looked_at = set()
    for report in shown.values():
        opened = browser.open(f"{served.url}?account={report.account.id}&disk={report.disk.id}", **look)
        assert opened == {"status": 200, "title": f"Disk {report.disk.id}: {report.verdict} · gigas-exporter"}
        if not look or report.severity not in looked_at:
            assert browser.barriers() == []
        looked_at.add(report.severity)
        assert browser.seen()["complaints"] == []
        assert browser.evaluate("document.documentElement.scrollWidth") <= look.get("width", 1300)


def test_a_disk_says_what_is_wrong_and_what_helps(browser: Browser, site: Serve, fleet: Fleet) -> None:
    """From its line in the list to its finding, the reason with the limit, its backups, the command and Grafana."""
    served = site(*fleet)
    browser.open(served.url + "?show=backup_stale&account=4242&refresh=0")
    browser.click("#disks ~ .scroll tbody th a")
    assert browser.texts("h1") == ["Disk 10003"]
    assert browser.texts(".verdict strong") == ["db-01, /var/lib/postgresql: backup stale."]
    (found,) = browser.texts(".findings li")
    assert re.fullmatch(
        r"backup stale Its newest usable backup is 30h old\. The limit is 26h\. After 52h it counts as missed\.",
        found,
    )
    assert browser.texts(".command") == [
        "gigas-exporter disks backup --account 4242 10003 --wait",
        "gigas-exporter disks show --account 4242 10003",
    ]
    assert dict(zip(browser.texts("dt"), browser.texts("dd"), strict=True)) | {
        "Usable": "7", "Limit": "26h", "Failed": "0", "Size": "200 GiB", "Automatic backups": "yes",
    } == dict(zip(browser.texts("dt"), browser.texts("dd"), strict=True))  # fmt: skip
    rows = browser.texts(".cards tbody tr")
    assert len(rows) == 7
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\s30h\s[\d.]+ GiB\s\w+\syes", rows[0])
    assert browser.evaluate("document.querySelector('.age').getAttribute('aria-label')").endswith("the limit is 26h.")
    grafana = urlsplit(browser.evaluate("document.querySelector('nav a[href*=grafana]').href"))
    assert grafana.path == "/x/d/gigas-disk/"
    assert parse_qs(grafana.query) == {
        "var-account_id": ["4242"], "var-virtual_machine": ["db-01"], "var-disk_id": ["10003"],
    }  # fmt: skip
    browser.click("nav a")
    assert browser.evaluate("location.search") == "?refresh=0"


def test_the_newest_backups_are_kept_with_what_they_are() -> None:
    """Ten of them, however they come in pages; each says whether it is usable, and why not."""

    def backup(number: int, **facts: Any) -> Backup:
        return Backup(str(number), "17", date_created=1000.0 * number, **facts)

    words = BackupStatuses()
    pages = [[backup(each, status="built", size_bytes=2**60)] for each in (*range(5, 25), 4)]
    summary = summarize_backups([backup(1, status="failed"), backup(2, status=None, locked=True)], words, 0.0)
    assert [(each.created_at, each.status, each.outcome) for each in summary.recent] == [
        (2000.0, "", "locked_or_empty"),
        (1000.0, "failed", "failed"),
    ]
    for page in pages:
        summary = summary.merged(summarize_backups(page, words, 0.0))
    assert [each.created_at for each in summary.recent] == [1000.0 * each for each in range(24, 14, -1)]
    assert next(iter(summary.recent)) == (24_000.0, 2**60, "built", "usable")
    assert len(summary.recent.statuses) <= 20


def test_a_summary_of_pages_is_that_of_all_their_backups() -> None:
    """However the backups of a disk are spread over pages, the same is known of them."""
    made = [
        Backup(str(each), "17", date_created=1000.0 + each, status="built", size_bytes=100 * each)
        for each in range(1, 8)
    ]
    made += [Backup("8", "17", date_created=900.0, status="failed"), Backup("9", "17", status="built")]
    whole = summarize_backups(made, BackupStatuses(), 0.0)
    facts = ("usable", "failed", "newest_at", "newest_size_bytes", "oldest_at", "typical_size_bytes", "undated")
    assert [getattr(whole, name) for name in facts] == [8, 1, 1007.0, 700, 1001.0, 350, 1]
    for step in (1, 2, 5):
        parts = [summarize_backups(made[at : at + step], BackupStatuses(), 0.0) for at in range(0, len(made), step)]
        merged = reduce(BackupSummary.merged, parts)
        assert [getattr(merged, name) for name in facts] == [getattr(whole, name) for name in facts]


def test_a_backup_from_the_future_is_not_called_usable_and_new(site: Serve) -> None:
    """Its age and use say why the disk has no verdict; and with more than ten backups the page says what it shows."""
    whole, wall = account(disks_of(1)), time.time()
    assert whole.backups is not None
    read_at = whole.backups.read_at

    def page_with(count: int, first_at: float, **query: str) -> str:
        made = [Backup(str(each), "1", date_created=first_at - 60.0 * each, status="built") for each in range(count)]
        summary = summarize_backups(made, BackupStatuses(), time.monotonic())
        backups = BackupSnapshot({"1": summary}, frozenset(), None, read_at)
        return site(replace(whole, backups=backups)).get(**query).text

    one = {"account": "4242", "disk": "1"}
    assert 'data-title="Backup age" class="number">in the future<' in page_with(1, wall + 86_400.0)
    ahead = page_with(10, wall + 86_400.0, **one)
    assert re.findall(r'data-title="(?:Age|Usable)"[^>]*>([^<]*)<', ahead)[:2] == [
        "in the future", "no: its date is in the future",
    ]  # fmt: skip
    assert "<dt>Newest</dt><dd>in the future (" in ahead
    assert "0s" not in ahead.partition('id="backups"')[2]
    assert "10 newest" not in ahead
    assert 'class="age"' not in ahead
    behind = page_with(11, wall - 60.0, **one)
    assert "Only the 10 newest are shown." in behind
    assert "future" not in behind
    assert 'class="age"' in behind


def test_a_disk_that_is_not_there_is_said_so(browser: Browser, site: Serve, fleet: Fleet) -> None:
    """Neither an unknown id, nor that of another account's disk, nor markup in its place shows a disk."""
    served = site(*fleet)
    for query, words in (
        ("account=4243&disk=10003", "Account 4243 has no disk 10003."),
        ("disk=10003", "Account is not watched here."),
        ("account=4242&disk=<script>alert(1)</script>", "Account 4242 has no disk <script>alert(1)</script>."),
    ):
        assert requests.get(f"{served.url}?{query}", timeout=20).status_code == 404
        browser.open(f"{served.url}?{query}")
        assert browser.texts(".verdict strong") == [words]
        assert browser.texts("dt, .command, script") == []
        assert browser.barriers() == []


def test_what_cannot_be_read_stands_on_a_disks_page(browser: Browser, site: Serve, broken_fleet: Fleet) -> None:
    """Why the data is old, in the sentence of the log, and that nothing is known once it is too old."""
    served = site(*broken_fleet)
    page = served.url + "?account=4242&disk=10003"
    browser.open(page)
    (problem,) = browser.texts(".problems li")
    assert problem.startswith("account 4242: disks could not be read: list_disks: the API answered 500")
    assert browser.texts("h2")[0] == "Findings"
    served.clock.ahead = 3600.0
    browser.open(page)
    assert browser.texts(".verdict strong") == ["Account 4242 has disks that are not known now."]
    assert requests.get(page, timeout=20).status_code == 503
    assert browser.texts(".problems li") != []
    assert browser.barriers() == []


def test_hostile_names_are_only_shown_on_a_disks_page(browser: Browser, site: Serve) -> None:
    """Markup in every text of a disk stays text."""
    for text in HOSTILE:
        disk = Disk("7", "1", 1, text, mount_point=text, autobackup=True, status_is_error=True)
        served = site(account({disk: 30.0}, name=text, machines={"1": machine_of("1", text)}))
        browser.open(served.url + "?account=4242&disk=7", width=390)
        assert browser.texts("h1") == ["Disk 7"]
        assert browser.evaluate("document.querySelectorAll('script, img, main h1').length") == 0
        assert browser.seen()["complaints"] == []
        assert browser.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_loads_itself_again_until_told_not_to(site: Serve, fleet: Fleet) -> None:
    """Every minute; the choice that it should not stays in every address of the page."""
    served = site(*fleet)
    assert served.get().headers["Refresh"] == "60"
    assert 'href="?refresh=0">stop<' in served.get().text
    still = served.get(refresh="0", account="4242", page="1")
    assert "Refresh" not in still.headers
    own = set(re.findall(r'href="(\?[^"#]*)', still.text))
    assert len(own) > 20
    assert {each for each in own if "refresh=0" not in each} == {"?account=4242"}  # the one that switches it on again
    assert '<input type="hidden" name="refresh" value="0">' in still.text


def test_how_old_the_data_is_stands_in_words(site: Serve) -> None:
    """Of several accounts the one that was read longest ago counts; nothing is said before all were read."""
    served = site(account(disks_of(1)), account(disks_of(1), account_id="5"))
    served.clock.ahead = 200.0
    assert "Read from the API: disks 3 minutes ago, backups 3 minutes ago." in served.get().text
    older = served.source.snapshot()[1]
    outcomes = {**older.outcomes, "backups": replace(older.outcomes["backups"], last_success_at=time.time() - 3600)}
    served.source.put(served.source.snapshot()[0], replace(older, outcomes=outcomes))
    assert "disks 3 minutes ago, backups 1 hour ago." in served.get().text
    served.source.put(served.source.snapshot()[0], replace(older, outcomes={}))
    assert "Read from the API" not in served.get().text


def test_the_chart_counts_each_disk_that_must_have_a_backup_once(fleet: Fleet) -> None:
    """By the judgement: at its limit a backup is in time, what is not known has a bar of its own."""
    reports = reports_of(fleet)
    bars = {bar.label: bar.count for bar in count_ages(reports)}
    assert sum(bars.values()) == sum(report.requirement.required for report in reports)
    assert (bars["stale"], bars["missed"], bars["never"], bars["awaited"]) == (2, 2, 2, 2)
    assert "unknown" not in bars
    exactly = [(hours, label) for hours, label in ((0.0, "under ¼"), (6.6, "¼–½"), (25.99, "¾–1"), (26.01, "stale"))]
    for hours, label in exactly:
        reports = reports_of([account({Disk("1", autobackup=True, is_swap=False): hours})])
        assert [bar.label for bar in count_ages(reports) if bar.count] == [label]
    inventory = account(disks_of(3))
    unread = replace(inventory, backups=BackupSnapshot({}, frozenset(inventory.requirements), None, time.monotonic()))
    (bar,) = (each for each in count_ages(reports_of([unread])) if each.count)
    assert (bar.label, bar.severity, bar.count) == ("unknown", "unknown", 3)
    assert count_ages([]) == []


def test_the_commands_are_those_of_the_alerts(fleet: Fleet) -> None:
    """For each finding that has an alert, page and alert name the same command."""
    named = {}
    for path in _ALERTS.glob("*.rules.yml"):
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            for rule in group["rules"]:
                found = set(re.findall(r'gigas_disk_finding\{finding="(\w+)"\}', rule["expr"]))
                if len(found) == 1:
                    named[Finding[found.pop().upper()]] = rule["annotations"]["command"]
    assert len(named) >= 8
    report, *_ = reports_of(fleet)
    for finding, command in named.items():
        labels = {"account_id": report.account.id, "disk_id": report.disk.id}
        filled = re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda match: labels[match[1]], command)  # noqa: B023  # called at once
        assert command_for(finding, report) == filled


@pytest.mark.parametrize("finding", list(Finding), ids=lambda finding: finding.name)
def test_every_finding_is_explained(fleet: Fleet, finding: Finding) -> None:
    """One sentence, in which nothing is left open, for whatever is known of the disk."""
    for report in reports_of(fleet):
        for each in (report, replace(report, backups=None, age_seconds=None)):
            sentence = explain_finding(finding, each, Thresholds(), None)
            assert re.fullmatch(r"[A-Z][^{}]*\.", sentence), sentence
    disk, now = Disk("1", autobackup=True), time.monotonic()
    reading = BackupSnapshot({}, frozenset({"1"}), None, now, error="the API answered 500")
    unread = replace(account({disk: 1.0}), backups=reading)
    (report,) = reports_of([unread])
    if finding is Finding.BACKUPS_UNREADABLE:
        assert "the API answered 500" in explain_finding(finding, report, Thresholds(), reading.error)


@pytest.mark.parametrize(("hours", "finding"), [(30, Finding.BACKUP_STALE), (60, Finding.BACKUP_MISSED)])
def test_a_late_backup_that_may_be_unusable_is_no_usable_one(hours: float, finding: Finding) -> None:
    """Nothing is said of the newest usable backup where there is none."""
    inventory, now = account({Disk("1", autobackup=True, is_swap=False): 1.0}), time.monotonic()
    summary = BackupSummary(0, 0, None, None, None, now, unclear=1, unclear_at=time.time() - hours * 3600)
    (report,) = reports_of([replace(inventory, backups=BackupSnapshot({"1": summary}, frozenset(), None, now))])
    assert finding in report.findings
    assert explain_finding(finding, report, Thresholds(), None) == (
        "It is not known whether any of its backups is usable, and even the newest is too old. The limit is 26h. After"
        " 52h it counts as missed."
    )
    (bar,) = (bar for bar in count_ages([report]) if bar.count)
    assert bar.label in {"unknown", finding.value.removeprefix("backup ")}


def test_a_disk_that_had_no_turn_says_what_helps() -> None:
    """Nothing failed, so that no error says it: one poll has no time for the lists of all disks."""
    whole, now = account({Disk("1", autobackup=True, is_swap=False): 1.0}), time.monotonic()
    assert whole.backups is not None
    for summaries in ({}, whole.backups.summaries):
        unread = replace(whole, backups=BackupSnapshot(summaries, frozenset({"1"}), None, now))
        (report,) = reports_of([unread])
        assert Finding.BACKUPS_UNREADABLE in report.findings
        why = explain_finding(Finding.BACKUPS_UNREADABLE, report, Thresholds(), None)
        assert "were not read yet" in why
        assert "raise api.max_requests_per_second, api.max_concurrency or poll.backups_interval" in why
        (sentence,) = explain_all([report], [unread])
        assert sentence.startswith("the backups of 1 disk are unreadable: their own lists were not read yet")
