"""The status page in headless Chromium, as people and screen readers meet it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from gigas_exporter.inventory import AccountInventory, PollStatus
from gigas_exporter.model import Account, Disk
from statuspage.browser import Browser
from statuspage.conftest import Serve
from statuspage.inventories import HOSTILE, account, disks_of, machine_of

Fleet = tuple[AccountInventory, ...]
RESET = "h2#disks + p > a:last-child"
LOOKS: tuple[dict[str, Any], ...] = (
    {"scheme": "light"},
    {"scheme": "dark"},
    {"scheme": "light", "width": 390, "height": 844},
    {"scheme": "dark", "width": 390, "height": 844},
)
DOWN = "list_disks: the API answered 500: the API has an internal error, or is unavailable (ADDRESS)"
LIGHT, DARK, PHONE, DARK_PHONE = LOOKS
STATES = [
    *(("well and ill", look) for look in LOOKS),
    ("no account", LIGHT),
    ("empty account", DARK),
    ("not read yet", DARK_PHONE),
    ("API down", DARK),
    ("API down", PHONE),
    ("stale", DARK_PHONE),
    ("stale", LIGHT),
]


@pytest.fixture
def states(fleet: Fleet, broken_fleet: Fleet) -> dict[str, tuple[Fleet, float]]:
    """What is known in each state of affairs, and how many seconds have passed since it was read."""
    return {
        "well and ill": (fleet, 0.0),
        "no account": ((), 0.0),
        "empty account": ((account({}),), 0.0),
        "not read yet": ((AccountInventory(Account("4242"), fleet[0].limits),), 0.0),
        "API down": (broken_fleet, 0.0),
        "stale": (broken_fleet, 3600.0),
    }


@pytest.mark.parametrize(("state", "look"), STATES)
def test_nothing_keeps_people_out(
    browser: Browser, site: Serve, states: dict[str, tuple[Fleet, float]], look: dict[str, Any], state: str
) -> None:
    """In each state of affairs, colour scheme and width axe-core finds nothing, and nothing else is asked for."""
    inventories, ahead = states[state]
    served = site(*inventories)
    served.clock.ahead = ahead
    assert browser.open(served.url, **look)["status"] == 200
    assert browser.barriers() == []
    assert browser.seen() == {"requests": [served.url], "complaints": []}


def test_the_page_is_not_wider_than_a_phone(browser: Browser, site: Serve, fleet: Fleet) -> None:
    """At 390 pixels nothing must be moved sideways, and a disk takes two lines with what matters most."""
    browser.open(site(*fleet).url, width=390, height=844)
    assert browser.evaluate("document.documentElement.scrollWidth") == 390
    assert browser.evaluate("Math.max(...[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth))") <= 390
    row = "document.querySelector('#disks ~ .scroll tbody tr')"
    shown = f"[...{row}.children].filter(e => e.offsetParent).map(e => [e.dataset.title, e.offsetTop])"
    lines: dict[int, list[str]] = {}
    for title, top in browser.evaluate(shown):
        lines.setdefault(top, []).append(title)
    assert [sorted(titles) for _, titles in sorted(lines.items())] == [
        ["Backup age", "Limit", "Verdict"],
        ["Disk", "Mount point", "Virtual machine"],
    ]
    assert browser.evaluate(f"{row}.offsetHeight") < 70


def test_the_worst_disk_comes_first(browser: Browser, site: Serve, fleet: Fleet) -> None:
    """Title and first line say how bad it is; the first disk is one that was never backed up."""
    title = browser.open(site(*fleet).url)["title"]
    assert title.startswith("14 of 32 disks need attention")
    assert browser.texts(".verdict strong") == ["14 of 32 disks need attention."]
    browser.click(".verdict a")
    assert len(browser.texts("#disks ~ .scroll tbody tr")) == 14
    browser.click(RESET)
    verdicts = browser.texts("#disks ~ .scroll tbody td:first-child")
    assert verdicts[:3] == ["never backed up", "never backed up", "backup missed"]
    assert verdicts[-1] == "well"
    assert "exempt swap needs no backup" in verdicts


def test_a_visitor_searches_filters_and_sorts(browser: Browser, site: Serve, fleet: Fleet) -> None:
    """The search field, a finding, a column's head and the account's link each lead to what they promise."""
    served = site(*fleet)
    browser.open(served.url)
    assert browser.texts("form") == []  # a page that loads itself again would empty it
    browser.click("h2#disks + p > a")
    browser.fill("input[name=q]", "DB-01 postgresql")
    machines = browser.texts("#disks ~ .scroll tbody td:nth-child(2)")
    assert machines == ["db-01"] * 2
    assert browser.evaluate("location.search").endswith("refresh=0&q=DB-01+postgresql&show=&account=&sort=")
    browser.click("form > a")
    browser.click(".counts li:first-child a")
    assert browser.texts("#disks ~ .scroll tbody td:first-child") == ["never backed up"] * 2
    assert browser.evaluate("document.querySelector('select[name=show]').value") == "never_backed_up"
    browser.open(served.url)
    browser.click(".counts li:first-child a")
    browser.click(RESET)
    browser.click("thead a[href*='sort=size']")
    assert browser.texts("h2#disks") == ["Disks, by size"]
    assert browser.evaluate("document.querySelector('[aria-sort]').ariaSort") == "descending"
    sizes = browser.texts("#disks ~ .scroll tbody td:nth-child(6)")
    browser.click("thead a[href*='sort=size']")
    assert browser.evaluate("document.querySelector('[aria-sort]').ariaSort") == "ascending"
    assert browser.texts("#disks ~ .scroll tbody td:nth-child(6)") == sizes[::-1]
    browser.open(served.url)
    browser.click("tbody th a")
    assert set(browser.texts("#disks ~ .scroll tbody td:nth-child(5)")) == {"4242"}


def test_hostile_names_are_only_shown(browser: Browser, site: Serve) -> None:
    """Markup, scripts, templates, escapes and endless words in every text stay text, on the phone too."""
    disks = {
        Disk(f"{text}{number}", str(number), 1, text, mount_point=text, autobackup=True): 1.0
        for number, text in enumerate(HOSTILE)
    }
    machines = {str(number): machine_of(str(number), text) for number, text in enumerate(HOSTILE)}
    inventories = [
        account(disks if not number else {}, account_id=f"{number}{text}", name=text, machines=machines)
        for number, text in enumerate(HOSTILE)
    ]
    served = site(*inventories)
    for look in ({}, {"width": 390}):
        browser.open(served.url, **look)
        assert browser.evaluate("document.querySelectorAll('script, img, main h1').length") == 0
        assert browser.seen() == {"requests": [served.url], "complaints": []}
        assert browser.evaluate("document.documentElement.scrollWidth") <= look.get("width", 1300)
        assert browser.barriers() == []
    shown = "\n".join(browser.texts("main"))
    assert "{{ 7 * 7 }}" in shown
    assert "\\x1b[31m\\x00\\x9b\\u202egnp.exe" in shown
    hostile = "q=%22%3E%3Cscript%3Ealert(1)%3C/script%3E&account=%22onload=%22&sort=%3C&show=%00"
    browser.open(f"{served.url}?{hostile}")
    assert browser.texts("h2#disks ~ p")[1].startswith("Cannot show “\\x00”. Show one of: all, attention, ")
    assert browser.texts("h2#disks ~ p")[2].startswith("Cannot sort by “<”. Sort by one of: account, vm, ")
    assert browser.texts("h2#disks ~ p")[3].startswith('“"onload="” is not an account watched here. ')
    assert browser.texts("h2#disks ~ p")[4] == '0 of 8 disks with “"><script>alert(1)</script>”.'
    assert browser.seen()["complaints"] == []
    browser.open(f"{served.url}?{hostile}&refresh=0")
    assert browser.evaluate("document.querySelector('input[name=q]').value") == '"><script>alert(1)</script>'
    assert browser.seen()["complaints"] == []


def test_the_policy_stops_what_a_name_might_smuggle_in(browser: Browser, site: Serve) -> None:
    """Were the escaping ever to fail, no script would run and nothing would be fetched."""
    served = site(account(disks_of(1)))
    browser.open(served.url)
    script = "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; document.body.append(s);"
    image = f"const i = new Image(); i.src = {json.dumps(served.url + 'spy')}; document.body.append(i);"
    styled = "document.body.setAttribute('style', 'color: red');"
    assert browser.evaluate(f"(() => {{ {script} {image} {styled} return window.ran; }})()") is None
    assert browser.evaluate("getComputedStyle(document.body).color") != "rgb(255, 0, 0)"
    assert served.visited == ["/"]
    assert "Content Security Policy" in "".join(browser.seen()["complaints"])


def _states(browser: Browser) -> list[str]:
    """The states of the accounts, without the port of the simulated API."""
    texts = browser.texts("#accounts + .scroll td:nth-child(2)")
    return [re.sub(r"127\.0\.0\.1:[0-9]+", "ADDRESS", text) for text in texts]


def test_an_endless_name_leaves_the_table_as_wide_as_the_screen(browser: Browser, site: Serve) -> None:
    """Nothing must be moved sideways to see when the backup of a machine with a name of 256 letters was made."""
    disk = Disk("1", "5", 1, "built", mount_point="/srv", autobackup=True)
    browser.open(site(account({disk: 1.0}, machines={"5": machine_of("5", "W" * 256)})).url, width=1300)
    sideways = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert browser.evaluate(sideways) == 0


def test_a_dead_api_is_said_before_all(browser: Browser, site: Serve, broken_fleet: Fleet) -> None:
    """While the last data is shown, the page says that it is old; when it is too old it is shown no more."""
    served = site(*broken_fleet)
    assert browser.open(served.url)["title"].startswith("Not all accounts can be read")
    (verdict,) = browser.texts(".verdict")
    assert verdict.startswith("14 of 32 disks need attention.")
    assert "2 of 2 accounts cannot be read now: 4242, 4243." in verdict
    assert verdict.count(DOWN.partition(" (")[0]) == 2
    assert _states(browser) == ["fails"] * 2  # the reason stands above, once
    served.clock.ahead = 3600.0
    browser.open(served.url)
    assert _states(browser) == ["fails; data too old to show"] * 2
    assert browser.texts("#disks ~ .scroll tbody td") == ["No disk is known."]
    assert [age.split()[0] for age in browser.texts("#accounts + .scroll td:nth-child(6)")] == ["1h"] * 2
    (verdict,) = browser.texts(".verdict")
    assert verdict.startswith("No disk is known now: what was read last is too old to show.")
    assert "as old as" not in verdict


@pytest.mark.parametrize(
    ("state", "verdict", "counts"),
    [
        ("no account", "No account is watched yet.", []),
        ("empty account", "The API lists no disks.", ["0", "0", "0 B"]),
        ("not read yet", "No disk is known yet: not all accounts have been read.", ["–", "–", "–"]),
        ("stale", "No disk is known now", ["–", "–", "–"]),
    ],
)
def test_nothing_known_is_not_zero(
    browser: Browser, site: Serve, states: dict[str, Any], state: str, *, verdict: str, counts: list[str]
) -> None:
    """An account that is empty has no disks; of one that is not known, no number is given."""
    inventories, ahead = states[state]
    served = site(*inventories)
    served.clock.ahead = ahead
    browser.open(served.url)
    assert browser.texts(".verdict")[0].startswith(verdict)
    cells = browser.texts("#accounts + .scroll tbody tr:first-child td.number")
    assert cells[:3] == counts


def test_words_agree_with_one(browser: Browser, site: Serve) -> None:
    """One disk, one account: the sentences are English."""
    served = site(account(disks_of(1)))
    browser.open(served.url)
    assert browser.texts(".verdict strong") == ["The only disk is well."]
    inventory = served.source.snapshot()[0]
    served.source.put(
        replace(inventory, outcomes={"disks": PollStatus(False, 0.1, None, 1.0, "list_disks: <b>no</b>")})
    )
    browser.open(served.url)
    assert browser.texts("#accounts + .scroll td:nth-child(2)") == ["fails"]
    (verdict,) = browser.texts(".verdict")
    assert verdict.count("list_disks: <b>no</b>") == 1
    assert verdict.startswith("Nothing is wrong with the 1 disk that is known.\n")
    assert "1 of 1 account cannot be read now" in verdict
    served.source.put(account(disks_of(1, hours=30)))
    assert browser.open(served.url)["title"].startswith("1 of 1 disk needs attention")


def test_keyboard_alone_reaches_the_disks(browser: Browser, site: Serve, fleet: Fleet) -> None:
    """All that can be acted on, and both tables that may scroll, take the focus, in the order of the page."""
    browser.open(site(*fleet).url)
    reached = "[...document.querySelectorAll('a, input, select, button, .scroll')].every(e => e.tabIndex === 0)"
    assert browser.evaluate(reached)
    assert browser.evaluate("document.querySelectorAll('[tabindex]:not([tabindex=\"0\"])').length") == 0
