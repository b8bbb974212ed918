"""The status page as bytes and headers: bounded, cached for a second, and what it lets a browser do."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from typing import Any

import pytest
import requests

from gigas_exporter import REPOSITORY
from gigas_exporter.inventory import AccountInventory
from gigas_exporter.report import Finding, worst_first
from gigas_exporter.statuspage.query import ROWS_PER_PAGE, SORTS, Query
from statuspage.conftest import Serve
from statuspage.inventories import account, disks_of, reports_of
from support.timing import within

FINDINGS = ", ".join(finding.name.lower() for finding in Finding)


def _disk_ids(page: requests.Response) -> list[str]:
    return re.findall(r'data-title="Disk" class="number"><a [^>]*>([^<]*)<', page.text)


def test_the_page_may_load_and_run_nothing(site: Serve) -> None:
    """The policy allows the one style by its hash, the form to the page itself, and nothing else."""
    answer = site(account(disks_of(3))).get()
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(hashlib.sha256(style[1].encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; form-action 'self';"
        " base-uri 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "<script" not in answer.text


def test_ten_thousand_disks_are_a_small_page_soon(site: Serve) -> None:
    """A fleet of 10,000 is shown 100 at a time, within a second or two, and is searched on the server."""
    served = site(account(disks_of(10_000, hours=27)))
    with within(3.0):
        answer = served.get()
    assert len(answer.content) < 150_000
    assert len(_disk_ids(answer)) == ROWS_PER_PAGE
    assert "10000 of 10000 disks, 100 on this page." in answer.text
    assert "Page 1 of 100" in answer.text
    assert _disk_ids(answer)[0] == "10000"
    assert _disk_ids(served.get(q="/srv/7777 vm-527")) == ["7777"]
    assert len(_disk_ids(served.get(page="100", sort="disk"))) == ROWS_PER_PAGE
    assert _disk_ids(served.get(page="100", sort="disk"))[-1] == "10000"


@pytest.mark.parametrize("page", ["0", "-1", "x", "101", "9999999", "", "²", "1e3"])
def test_a_page_that_is_none_is_the_nearest(site: Serve, page: str) -> None:
    """Whatever stands in the address, disks are shown."""
    answer = site(account(disks_of(250))).get(page=page)
    assert answer.status_code == 200
    assert _disk_ids(answer)
    assert ("Page 3 of 3" in answer.text) == (page == "101")
    said = "There is no page 101. The last page is 3." if page == "101" else f"<p><strong>There is no page “{page}”. "
    assert (said in answer.text) == bool(page)


@pytest.mark.parametrize(
    ("parameter", "value", "said"),
    [
        ("show", "<nonsense>", f"Cannot show “&lt;nonsense&gt;”. Show one of: all, attention, {FINDINGS}."),
        ("sort", "nonsense", "Cannot sort by “nonsense”. Sort by one of: account, vm, mount, "),
        ("sort", "x" * 500, f"Cannot sort by “{'x' * 60}…”. Sort by "),
        ("reverse", "yes", "reverse must be 0 or 1, not “yes”."),
        ("refresh", "10s", "refresh must be 0 or 1, not “10s”."),
        ("account", "4243", "“4243” is not an account watched here. Accounts: 4242."),
    ],
)
def test_what_an_address_says_wrongly_is_said(site: Serve, parameter: str, value: str, said: str) -> None:
    """Each parameter that is not understood is told in one line, with what there is."""
    served = site(account(disks_of(3)))
    wrong = served.get(**{parameter: value}).text
    assert f"<p><strong>{said}" in wrong
    assert ("3 of 3 disks." in wrong) == (parameter != "account")
    right = {"sort": "vm", "reverse": "1", "refresh": "0", "account": "4242"}
    for known in ("", "all", "All", "attention", "ATTENTION", "backup_stale", "BACKUP_STALE", "backup stale"):
        assert not re.search("watched here|Cannot |must be", served.get(**right, show=known).text), known
    assert Query.from_params({"show": "Backup Stale"}).show == "backup_stale"


def test_links_lead_from_page_to_page(site: Serve) -> None:
    """Previous and next keep the choice, and end at the ends."""
    served = site(account(disks_of(250)))
    first, second, third = (served.get(q="srv", page=str(page)).text for page in (1, 2, 3))
    assert 'rel="prev"' not in first
    assert 'rel="next" href="?q=srv&amp;page=2"' in first
    assert 'rel="prev" href="?q=srv"' in second
    assert 'rel="next"' not in third


def test_visitors_of_the_same_seconds_share_the_verdict(site: Serve, fleet: tuple[Any, ...]) -> None:
    """Many visitors cost one judgement; a change of the data, or five seconds, makes a new one."""
    served = site(*fleet)
    served.clock.wall_at = 1_900_000_000.25
    page = served.page
    first = page._current()
    assert page._current() is first
    served.source.put(account(disks_of(1)))
    assert page._current() is not first
    second = page._current()
    served.clock.wall_at = 1_900_000_005.0
    assert page._current() is not second


def test_links_work_under_a_proxys_path(site: Serve) -> None:
    """Every address of the page itself is relative, so that a proxy may serve it under any path."""
    text = site(account(disks_of(250))).get().text
    hrefs = set(re.findall(r'(?:href|action)="([^"]*)"', text))
    assert "./metrics" in hrefs
    assert {href for href in hrefs if not href.startswith(("?", ".", "#"))} == {
        "data:,",
        f"{REPOSITORY}#readme",
        "https://grafana.example.com/x/d/gigas-overview/",
    }


@pytest.mark.parametrize("sort", ["", *SORTS])
def test_every_order_and_its_reverse(fleet: tuple[AccountInventory, ...], sort: str) -> None:
    """Each column sorts all disks, the other way round too, and loses none."""
    reports = worst_first(reports_of(fleet))
    ordered = Query(sort=sort).apply(reports)
    backwards = Query(sort=sort, reverse=True).apply(reports)
    assert len(ordered) == len(backwards) == len(reports)
    if sort:
        key = SORTS[sort][0]
        assert [key(each) for each in ordered] == [key(each) for each in backwards[::-1]]
    else:
        assert ordered == reports
        assert backwards == reports[::-1]
    assert Query(sort=sort).descending != Query(sort=sort, reverse=True).descending


@pytest.mark.parametrize("finding", list(Finding), ids=lambda finding: finding.name)
def test_each_finding_can_be_shown_alone(fleet: tuple[AccountInventory, ...], finding: Finding) -> None:
    """The filter gives exactly the disks that have the finding."""
    reports = worst_first(reports_of(fleet))
    chosen = Query.from_params({"show": finding.name.lower()}).apply(reports)
    assert chosen == [report for report in reports if finding in report.findings]


def test_attention_and_account_filter_together(fleet: tuple[AccountInventory, ...]) -> None:
    """What needs attention, of one account."""
    chosen = Query.from_params({"show": "attention", "account": "4243"}).apply(worst_first(reports_of(fleet)))
    assert len(chosen) == 7
    assert {report.account.id for report in chosen} == {"4243"}


def test_an_address_says_the_choice_again() -> None:
    """What an address selects can be written as an address again, and the default is the bare page."""
    query = Query.from_params(
        {"q": " a b ", "show": "exempt", "account": "1", "sort": "vm", "reverse": "1", "page": "3"}
    )
    assert query == Query("a b", "exempt", "1", "vm", reverse=True, page=3)
    assert query.address(page=3) == "?q=a+b&show=exempt&account=1&sort=vm&reverse=1&page=3"
    assert query.address() == "?q=a+b&show=exempt&account=1&sort=vm&reverse=1"
    assert Query().address() == "."
    other = Query.from_params({"show": "nonsense", "sort": "nonsense", "q": "x" * 500})
    assert len(other.complaints) == 2
    assert replace(other, complaints=()) == Query(search="x" * 200)
    assert other.address() == Query(search="x" * 200).address()
