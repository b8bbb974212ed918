"""What the status page says of disks that are not known or not understood: the words of ``check``."""

from __future__ import annotations

import html
import re
import time
from dataclasses import replace
from typing import Any

from gigas_exporter.inventory import AccountInventory, PollStatus
from gigas_exporter.model import Disk
from gigas_exporter.policy import DEFAULT_POLICY
from statuspage.conftest import Serve
from statuspage.inventories import account, disks_of

ERROR = "list_backups: the API answered 500"


def _top(site: Serve, inventory: AccountInventory) -> str:
    """Return what stands at the top of the page, as text."""
    text = site(inventory).get().text
    found = re.search(r'<div class="verdict.*?</div>', text, re.DOTALL)
    assert found is not None
    return html.unescape(re.sub(r"<[^>]+>|\s+", " ", found[0]))


def _rejudged(inventory: AccountInventory, **changes: Any) -> AccountInventory:
    """Return the account with each disk changed, and what the policy then asks."""
    assert inventory.disks is not None
    disks: dict[str, Disk] = {each: replace(disk, **changes) for each, disk in inventory.disks.disks.items()}
    return replace(inventory, disks=replace(inventory.disks, disks=disks)).with_requirements(DEFAULT_POLICY)


def test_what_is_not_understood_stands_at_the_top(site: Serve) -> None:
    """Which field, of how many disks, and what to do; no page says that all is well then."""
    inventory = _rejudged(account(disks_of(3)), autobackup=None, unknown=frozenset({"autobackup"}))
    top = _top(site, inventory)
    assert "3 of 3 disks need attention" in top
    assert "autobackup is not understood for 3 disks (gigas-exporter probe shows what the API sends" in top
    assert "well" not in top
    page = site(inventory).get().text
    assert '<span class="unknown">not understood: autobackup</span>' in page


def test_unread_backups_are_said_once(site: Serve) -> None:
    """The account says why, in the sentence of the log; its disks are not called well."""
    failed = PollStatus(False, 1.0, None, error=ERROR)
    inventory = replace(account(disks_of(3)), backups=None).with_outcome("backups", failed)
    top = _top(site, inventory)
    assert "The backups of 3 of 3 disks are not known." in top
    assert f"account 4242: backups could not be read: {ERROR}" in top
    assert "are well" not in top
    page = site(inventory).get().text
    assert page.count("backups not read") == 3
    assert "backups unreadable" not in page


def test_statuses_that_match_no_word_are_named(site: Serve) -> None:
    """Backups with a status that nobody configured count, and are told of."""
    inventory = account(disks_of(1, hours=1))
    assert inventory.backups is not None
    inventory = replace(inventory, backups=replace(inventory.backups, unmatched_statuses=("<odd>", "new")))
    top = _top(site, inventory)
    assert "backup_status does not list these backup statuses exactly; " in top
    assert "such a backup counts as usable unless it is locked: <odd>, new" in top
    assert "The only disk is well." in top


def test_many_problems_do_not_hide_the_disks(site: Serve) -> None:
    """Ten sentences are shown, and how many more there are."""
    failed = PollStatus(False, 1.0, time.time(), error=ERROR)
    accounts = [account(disks_of(1), account_id=str(number)).with_outcome("disks", failed) for number in range(15)]
    text = site(*accounts).get().text
    assert text.count("disks could not be read") == 10
    assert "<li>and 5 more</li>" in text
