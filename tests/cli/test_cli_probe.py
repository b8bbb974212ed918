"""``probe``: understands what is understood, names what is not, and shows no value."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.conftest import Outcome, Run
from gigas_exporter.cli.probe.fields import FieldKind, form_of, has_zone, safe_name, safe_word
from support.simulator import SimulatorServer
from support.small_api import Answer, SmallApi, ago, healthy

NO_ENVIRONMENT = dict.fromkeys(("GIGAS_ACCOUNT_ID", "GIGAS_API_KEY", "GIGAS_API_URL"))
DISKS, BACKUPS, MACHINES = "/account/4242/disks", "/account/4242/backups", "/account/4242/virtual_machines"


@pytest.fixture
def api() -> Iterator[SmallApi]:
    """An account whose four disks are well."""
    with SmallApi(healthy()) as server:
        yield server


def _probe(run: Run, api: SmallApi, source: str = "auto") -> tuple[int, dict[str, Any]]:
    outcome = run("probe", "--output", "json", GIGAS_API_URL=api.url, GIGAS_BACKUPS_SOURCE=source)
    return outcome.status, json.loads(outcome.out)


def _probe_with_file(run: Run, directory: Path, text: str, *arguments: str) -> Outcome:
    """Probe with a configuration file and no other settings."""
    path = directory / "gigas.yml"
    path.write_text(text)
    return run("probe", "--config.file", str(path), *arguments, **NO_ENVIRONMENT)


def _told(document: dict[str, Any]) -> set[tuple[str, str | None]]:
    return {(problem["list"], problem["field"]) for problem in document["problems"]}


def _each(api: SmallApi, path: str, change: Callable[[dict[str, Any]], object]) -> None:
    for listed in (path, *(each for each in api.lists if path == BACKUPS and each.endswith("/backups"))):
        for item in api.lists[listed]:
            change(item)


def test_the_simulators_lists_are_all_understood(run: Run, cloud: SimulatorServer) -> None:
    """Both accounts of the simulated cloud, with all their troubles, are understood, and judged as check judges."""
    outcome = run("probe")
    assert outcome.status == 0, outcome.out
    assert "RESULT: all understood" in outcome.out
    assert "ACCOUNT 1: 16 disks; 1 never backed up" in outcome.out
    assert "9999-99-99T99:99:99Z" in outcome.out
    assert "status completed" in outcome.out
    assert cloud.url not in outcome.out


def test_each_list_is_read_once(run: Run, api: SmallApi) -> None:
    """One request a list, two for what is behind its only page, and one for the own backups of one disk."""
    assert _probe(run, api)[0] == 0
    assert sorted(api.asked) == sorted([*[DISKS, MACHINES, BACKUPS] * 3, "/account/4242/disk/1/backups"])


def test_a_header_that_says_that_there_is_more(run: Run, api: SmallApi) -> None:
    """It is named, with the setting to try."""
    api.answers[DISKS] = lambda _: (200, api.lists[DISKS], {"Link": '</next>; rel="next"'})
    status, facts = _probe(run, api)
    assert status == 1
    assert "there may be more items, says the header Link" in json.dumps(facts)
    assert '"link": "present"' in json.dumps(facts)


def test_a_total_that_shrinks_is_named(run: Run, api: SmallApi) -> None:
    """The list that fits the second total is accepted, and nobody knows whether it is whole."""
    totals = iter(["6"])
    api.answers[DISKS] = lambda query: (200, api.lists[DISKS][int(query["offset"]) :], {"X-Total": next(totals, "4")})
    status, document = _probe(run, api)
    (problem,) = document["problems"]
    assert (status, problem["problem"]) == (1, "4 distinct items, but X-Total is 6")


NO_WORD = "{} matches no known word and counts as usable (12 times)".format


@pytest.mark.parametrize(
    ("path", "field", "value", "problem", "setting"),
    [
        (DISKS, "autobackup", "perhaps", "not understood", ""),
        (DISKS, "disk_size", "large", "not understood", ""),
        (DISKS, "disk_size", 42949672960, "not understood", "api.disk_size_unit"),
        (DISKS, "disk_size", 40_000_000, "a typical disk would be measured in PiB", "api.disk_size_unit"),
        (BACKUPS, "date_created", "31/12/2026", "not understood", ""),
        (BACKUPS, "disk_id", {"disk": 1}, "not understood", ""),
        (BACKUPS, "locked", "?", "not understood", ""),
        (BACKUPS, "backup_size", 9, "a typical backup would have 2e-07 times", "api.backup_size_unit"),
        *((BACKUPS, "status", status, "not understood", "") for status in (3, False, {"state": "ok"}, ["ok"])),
        # What counts as usable must be looked at; a word that may be a name shows as its length.
        (
            BACKUPS,
            "status",
            "Frobnicated",
            NO_WORD("Frobnicated"),
            "add Frobnicated to backup_status.good, ",
        ),
        (BACKUPS, "status", "x 17", NO_WORD("text, 4 characters"), "THE_WORD"),
        (
            *(BACKUPS, "status", "Completed (with warnings)"),
            *("text, 25 characters says more than a known word and counts as usable (12 times)", ""),
        ),
        (MACHINES, "label", {"en": "x"}, "not understood", ""),
    ],
)
def test_a_value_that_is_doubtful_is_named(
    run: Run, api: SmallApi, *, path: str, field: str, value: object, problem: str, setting: str
) -> None:
    """Its list and field, what is odd and the setting to try; the exit status is 1."""
    _each(api, path, lambda item: item.update({field: value}))
    status, document = _probe(run, api)
    assert status == 1
    found = [each for each in document["problems"] if (each["list"], each["field"]) == (path.rpartition("/")[2], field)]
    assert any(problem in each["problem"] and setting in each["try"] for each in found)


@pytest.mark.parametrize("field", ["error", "autobackup", "is_swap", "mount_point", "virtual_machine_id"])
def test_a_deciding_field_that_is_absent_is_named(run: Run, api: SmallApi, field: str) -> None:
    """With the setting that says under which name the API has it, or that it has none."""
    _each(api, DISKS, lambda item: item.update({f"has_{field}s": item.pop(field)}))
    status, document = _probe(run, api)
    assert status == 1
    (problem,) = (each for each in document["problems"] if (each["list"], each["field"]) == ("disks", field))
    assert problem["problem"] == "absent from every item"
    assert f"api.fields: {{{field}: has_{field}s}}" in problem["try"]


def test_an_absent_error_flag_can_be_accepted(run: Run, api: SmallApi) -> None:
    """Where nothing resembles it, the setting that accepts its absence is named too."""
    _each(api, DISKS, lambda item: item.pop("error"))
    outcome = run("probe", GIGAS_API_URL=api.url)
    assert outcome.status == 1
    assert "{error: null}" in outcome.out


def test_backups_that_name_no_disk_are_counted(run: Run, api: SmallApi) -> None:
    """Without disk_id, or with that of a disk that is not listed."""
    for item in api.lists[BACKUPS][:2]:
        item["disk_id"] = None
    api.lists[BACKUPS][2]["disk_id"] = 999
    status, document = _probe(run, api)
    assert status == 1
    assert "3 of 12 name no listed disk" in {each["problem"] for each in document["problems"]}


@pytest.mark.parametrize(
    ("status", "own", "tried"),
    [
        (404, 200, "poll.backups_source: disk"),
        (415, 200, "check api.url (GIGAS_API_URL), or poll.backups_source: disk, as a disk's own list is accepted"),
        (415, 415, "check api.url (GIGAS_API_URL)"),
        (402, 402, "ask Gigas"),
        (500, 500, ""),
        (202, 202, ""),
    ],
)
def test_a_rejected_list_of_backups(run: Run, api: SmallApi, status: int, own: int, tried: str) -> None:
    """What to try is what check says, and the other source of backups only where that one answers."""
    api.answers[BACKUPS] = lambda _: (status, b"", {})
    if own != 200:
        api.answers.update({f"/account/4242/disk/{each}/backups": lambda _: (own, b"", {}) for each in range(1, 5)})
    _, document = _probe(run, api)
    assert [each["try"] for each in document["problems"] if each["list"] == "backups"] == [tried]


def test_an_accounts_list_that_leaves_backups_out_is_found(run: Run, api: SmallApi) -> None:
    """By the own list of a disk that has none in the account's."""
    api.lists[BACKUPS] = [item for item in api.lists[BACKUPS] if item["disk_id"] != 3]
    status, document = _probe(run, api)
    assert status == 1
    assert "/account/4242/disk/3/backups" in api.asked
    (problem,) = document["problems"]
    assert problem["try"] == "poll.backups_source: disk"
    assert document["accounts"][0]["disks"]["findings"] == {}


def test_no_disk_is_never_backed_up_by_the_accounts_list_alone(run: Run, api: SmallApi) -> None:
    """Each is asked for its own, as many as the exporter asks; one that cannot be read is not known."""
    api.lists.update(healthy(disks=205))
    api.lists[BACKUPS] = []
    outcome = run("probe", "--api.max-requests-per-second", "0", GIGAS_API_URL=api.url)
    assert "ACCOUNT 1: 205 disks; 5 with backups unreadable; the own lists of 5 without a backup" in outcome.out
    assert sum("/disk/" in path for path in api.asked) == 200
    api.lists.update({f"/account/4242/disk/{number}/backups": [] for number in range(1, 5)})
    api.answers["/account/4242/disk/2/backups"] = lambda _: (403, b"", {})
    api.lists[DISKS] = api.lists[DISKS][:4]
    status, document = _probe(run, api)
    assert status == 2
    assert document["accounts"][0]["disks"]["findings"] == {"never backed up": 3, "backups unreadable": 1}
    assert any(each["problem"].startswith("1 not accepted: HTTP status 403") for each in document["problems"])


@pytest.mark.parametrize(
    ("answer", "setting"),
    [
        ((301, b"", {"Location": "https://elsewhere.example/"}), "api.url"),
        ((400, {"error": "limit too large"}, {}), "api.page_size"),
        ((401, b"", {}), "credential"),
        ((451, b"", {}), "ask Gigas"),
        ((422, {"errors": {"limit": ["is bad"]}}, {}), "api.page_size"),
        ((202, [], {}), ""),
        ((200, {"disks": []}, {}), ""),
        ((200, b"not JSON", {}), ""),
    ],
)
def test_a_list_that_is_not_accepted_is_named_with_its_reason(
    run: Run, api: SmallApi, answer: tuple[int, Any, dict[str, str]], setting: str
) -> None:
    """Status 2, and what can be tried; the other lists are read all the same."""
    api.answers[DISKS] = lambda _: answer
    status, document = _probe(run, api)
    assert status == 2
    (problem,) = (each for each in document["problems"] if each["unreadable"])
    assert problem["list"] == "disks"
    assert setting in problem["try"]
    assert "rejected" not in problem["problem"]
    assert BACKUPS in api.asked


def test_pages_that_repeat_are_no_whole_list(run: Run, api: SmallApi) -> None:
    """Forty-five disks by the total, of which every page has the same twenty."""
    items = healthy(disks=20)[DISKS]
    api.answers[DISKS] = lambda _: (200, items, {"X-Total": "45"})
    status, document = _probe(run, api)
    assert status != 0
    assert ("disks", None) in _told(document)
    facts = document["accounts"][0]["lists"][0]
    assert facts["items"] == 20
    assert facts["responses"][0]["x-total"] == 45


def test_lists_are_read_as_the_exporter_reads_them(run: Run, api: SmallApi) -> None:
    """Where it asks each disk for its backups, the account's list, that it does not read, is no problem."""
    api.answers[BACKUPS] = lambda _: (500, b"", {})
    status, document = _probe(run, api, "disk")
    assert (status, document["problems"]) == (0, [])
    assert [each["list"] for each in document["accounts"][0]["lists"]] == ["disks", "virtual_machines", "disk_backups"]
    assert BACKUPS not in api.asked
    assert sum("/disk/" in path for path in api.asked) == 4


@pytest.mark.parametrize("source", ["disk", "auto"])
def test_every_own_list_that_is_read_is_described(run: Run, api: SmallApi, source: str) -> None:
    """A status, a value and a header that are not understood are named wherever they stand."""
    own = "/account/4242/disk/{}/backups".format
    if source == "auto":
        api.answers[BACKUPS] = lambda _: (404, b"", {})
    api.lists[own(2)][0]["status"] = "mystery"
    api.lists[own(3)][0]["locked"] = "?"
    api.answers[own(4)] = lambda _: (200, api.lists[own(4)], {"Link": '</next>; rel="next"'})
    status, document = _probe(run, api, source)
    assert status == 1
    told = {(each["field"], each["problem"]) for each in document["problems"] if each["list"] == "disk_backups"}
    assert ("status", "mystery matches no known word and counts as usable (1 times)") in told
    assert ("locked", "1 of 12 not understood (false, text, 1 characters)") in told
    assert any(field is None and "the header Link" in problem for field, problem in told)
    shown = run("probe", GIGAS_API_URL=api.url, GIGAS_BACKUPS_SOURCE=source).out
    assert "  response 200: 3 items, x-total 3 (3 times)\n" in shown


@pytest.mark.parametrize(
    ("answer", "words", "setting"),
    [
        ((500, b"", {}), "HTTP status 500", ""),
        ((200, [], {"Link": '</next>; rel="next"'}), "a disk's list may be incomplete", "api.page_size"),
    ],
)
def test_own_lists_that_all_fail_are_told_and_not_a_list_that_was_not_read(
    run: Run, api: SmallApi, answer: Answer, words: str, setting: str
) -> None:
    """Nor is the setting advised that is in force."""
    for number in range(1, 5):
        api.answers[f"/account/4242/disk/{number}/backups"] = lambda _: answer
    status, document = _probe(run, api, "disk")
    assert status == 2
    assert {(each["list"], each["try"]) for each in document["problems"]} == {("disk_backups", setting)}
    assert document["problems"][0]["problem"].startswith(f"4 not accepted: {words}")


def test_without_disks_no_list_of_backups_is_told(run: Run, api: SmallApi) -> None:
    """The disks' list is named alone, and no class of Python."""
    api.answers[DISKS] = lambda _: (404, {"error": "no"}, {})
    outcome = run("probe", "--output", "json", GIGAS_API_URL=api.url, GIGAS_BACKUPS_SOURCE="disk")
    assert outcome.status == 2
    assert {each["list"] for each in json.loads(outcome.out)["problems"]} == {"disks"}
    assert "GigasError" not in outcome.out


def test_the_own_list_of_a_disk_that_is_gone_is_not_rejected(run: Run, api: SmallApi) -> None:
    """The exporter asks for the disk then, and does not find it: of that disk alone nothing is known."""
    api.answers["/account/4242/disk/3/backups"] = lambda _: (404, {"error": "no"}, {})
    status, document = _probe(run, api, "disk")
    assert (status, [each["problem"] for each in document["problems"]]) == (1, ["the backups of 1 disk are unreadable"])


def test_backups_of_the_account_may_be_missing_where_each_disk_has_its_own(run: Run, api: SmallApi) -> None:
    """With ``auto`` that is no failure, and yet named."""
    api.answers[BACKUPS] = lambda _: (403, b"", {})
    status, document = _probe(run, api)
    assert status == 1
    assert ("backups", None) in _told(document)


def test_dates_without_a_zone_that_lie_ahead_are_a_matter_of_the_zone(run: Run, api: SmallApi) -> None:
    """And with one, of a clock."""
    _each(api, BACKUPS, lambda item: item.update(date_created=ago(hours=-2).replace("T", " ").rstrip("Z")))
    status, document = _probe(run, api)
    assert status == 1
    assert {each["try"] for each in document["problems"]} == {"api.time_zone"}
    _each(api, BACKUPS, lambda item: item.update(date_created=ago(hours=-2)))
    assert "clock" in _probe(run, api)[1]["problems"][0]["try"]


def test_dates_without_a_zone_that_lie_hours_back_are_a_note(run: Run, api: SmallApi) -> None:
    """As those of a control panel behind UTC would be."""
    _each(api, BACKUPS, lambda item: item.update(date_created=ago(hours=5).replace("T", " ").rstrip("Z")))
    outcome = run("probe", GIGAS_API_URL=api.url)
    assert outcome.status == 0
    assert "if anything was created or changed since, set api.time_zone" in outcome.out


CANARIES = (
    "canary-7f3a",
    "canary 99 Straße",
    "\x1b[31mcanary",
    "Canary@example.com",
    "/srv/canary1",
    "10.9.8.77",
    "C4n4ry",
)


@pytest.mark.parametrize("canary", CANARIES)
@pytest.mark.parametrize("output", ["text", "json"])
def test_no_value_is_shown(run: Run, api: SmallApi, canary: str, output: str) -> None:
    """A canary in every value, in names of fields and headers, nested and as the account's id and name, is nowhere."""
    for path, items in api.lists.items():
        for item in items:
            for name in list(item):
                if name != "id" or path == MACHINES:
                    item[name] = canary
            item[canary] = canary
            item["nested"] = {canary: [canary]}
    api.answers["/account/4242/disk/1/backups"] = lambda _: (
        200,
        [{"id": canary, canary: canary, "status": canary}, canary],
        {"X-Total": "canary", "X-Page": "c" * 9},
    )
    outcome = run("probe", "--output", output, GIGAS_API_URL=api.url)
    assert outcome.status in {1, 2}
    shown = (outcome.out + outcome.err).lower()
    for piece in (canary, json.dumps(canary)[1:-1], "canary", "c4n4ry", "10.9.8", "4242", api.url, "127.0.0.1"):
        assert piece.lower() not in shown, outcome.out


def test_what_is_odd_is_counted(run: Run, api: SmallApi) -> None:
    """For people in a line of each field, also what is no item at all and what has a name that is not shown."""
    first, second, third, _ = api.lists[DISKS]
    del first["mount_point"]
    second["locked"] = "?"
    third["a name"] = "x"
    third["status"] = "error"
    api.lists[MACHINES].append(None)
    out = run("probe", GIGAS_API_URL=api.url).out
    for words in (
        "; 1 × absent\n",
        "  <- 1 NOT UNDERSTOOD\n",
        "  and 1 fields whose names are not shown\n",
        "  status built: 3 × no error\n",
        "  status error: 1 × error\n",
        "1 of 5 items are not JSON objects",
    ):
        assert words in out


def test_errors_of_the_api_are_not_quoted(run: Run, api: SmallApi) -> None:
    """Neither its words nor the address."""
    for path in (DISKS, BACKUPS, MACHINES):
        api.answers[path] = lambda _: (422, {"errors": ["canary: account 4242 of Ms Canary"]}, {"Location": "canary"})
    outcome = run("probe", GIGAS_API_URL=api.url)
    assert outcome.status == 2
    assert not {"canary", "4242", "127.0.0.1"} & set(outcome.out.lower().replace(":", " ").split())


@pytest.mark.parametrize(
    ("value", "kind", "form"),
    [
        (None, "text", "null"),
        (True, "flag", "true"),
        (0, "flag", "0"),
        (17, "flag", "number"),
        (12345, "id", "number, 5 digits"),
        (7, "id", "number, 1 digit"),
        (10**200, "id", "number, 100 digits"),
        (1.5, "size", "number with a fraction"),
        ("20 GB", "size", "text of a number GB"),
        ("00017", "id", "text of 5 digits"),
        ("123e4567-e89b-12d3-a456-426614174000", "id", "UUID"),
        ("abc", "id", "text, 3 characters"),
        (" Yes ", "flag", 'text "Yes" with blanks around'),
        ("sometimes", "flag", "text, 9 characters"),
        ("2026-01-31 10:00:00 UTC", "date", "9999-99-99 99:99:99 UTC"),
        ("Tue, 31 Jan 2026 10:00:00 GMT", "date", "Day, 99 Mon 9999 99:99:99 GMT"),
        ("born in May 1970", "date", "text, 16 characters"),
        ("", "text", "empty text"),
        ("  ", "status", "blank text"),
        ("in-progress", "status", 'text "in-progress"'),
        ("failed: code 7", "status", "text, 14 characters"),
        ("gigas", "choice", 'text "gigas"'),
        ("mine", "choice", "text, 4 characters"),
        ("anything", "text", "text"),
        ([], "flag", "empty list"),
        ([1], "flag", "list"),
        ({}, "flag", "empty object"),
        ({"id": 1, "name": 2}, "flag", "object with id, name"),
        ({"id": 1, "maria_lopez": 2}, "flag", "object with id, a key of 11 characters"),
        ({"maria_lopez": 1, "a b": 2, "status": 3}, "flag", "object with status, 2 keys"),
    ],
)
def test_forms(value: object, kind: FieldKind, form: str) -> None:
    """What is shown of a value."""
    assert form_of(value, kind) == form


@pytest.mark.parametrize(
    ("form", "zoned"),
    [
        ("9999-99-99T99:99:99Z", True),
        ("9999-99-99T99:99:99+99:99", True),
        ("9999-99-99 99:99:99 UTC", True),
        ("number, 10 digits", True),
        ("9999999999", True),
        ("9999-99-99 99:99:99", False),
        ("9999-99-99T99:99:99.999", False),
    ],
)
def test_zones(form: str, zoned: bool) -> None:
    """Which forms of a date say their zone."""
    assert has_zone(form) is zoned


def test_names_and_words_that_may_be_shown() -> None:
    """Identifiers and plain words; nothing with a long number, a sign or many characters."""
    assert safe_name("has_autobackups") == "has_autobackups"
    assert safe_name("ipv4") == "ipv4"
    assert [safe_name(name) for name in ("a b", "x-y", "user123", "u1ser", "a" * 41, "", "ñ")] == [None] * 7
    assert safe_word("In progress") == "In progress"
    assert [safe_word(word) for word in ("a" * 33, "failed: x", "disk 7", "")] == [None] * 4


@pytest.mark.parametrize("is_all", [True, False])
def test_backups_without_a_date_are_a_problem(run: Run, api: SmallApi, *, is_all: bool) -> None:
    """Whether all of them or those of one disk: ``check`` cannot read them, either."""
    for path in [each for each in api.lists if each.endswith("/backups")]:
        _each(api, path, lambda item: item.update(date_created=None) if is_all or item["disk_id"] == 4 else None)
    code, document = _probe(run, api)
    assert code == 1
    if is_all:
        told = {(each["list"], each["field"], each["try"]) for each in document["problems"]}
        assert ("backups", "date_created", "api.fields: {date_created: THEIR_NAME}") in told
    else:
        (problem,) = document["problems"]
        assert problem["problem"] == "the backups of 1 disk are unreadable"


def test_statuses_show_how_each_is_taken(run: Run, api: SmallApi) -> None:
    """Folded, and with what comes before or after the word."""
    for item, status in zip(
        api.lists[BACKUPS], ("In-Progress", "backup_failed", "COMPLETED", "completed"), strict=False
    ):
        item["status"] = status
    document = _probe(run, api)[1]
    rows = {row["status"]: row["taken_as"] for row in document["accounts"][0]["lists"][2]["statuses"]}
    assert rows["In-Progress"] == {"unfinished": 1}
    assert rows["backup_failed"] == {"failed": 1}
    assert rows["COMPLETED"] == {"usable": 1}


def test_other_forms_are_understood(run: Run, api: SmallApi) -> None:
    """Readings that the exporter copes with give exit status 0."""
    change = {"autobackup": "enabled", "is_swap": " N ", "error": "none", "created_at": "Tue, 31 Jan 2026 10:00:00 GMT"}
    _each(api, DISKS, lambda item: item.update(change, virtual_machine_id=0))
    status, document = _probe(run, api)
    assert (status, document["problems"]) == (0, [])


def test_wrapped_items_are_understood_and_said(run: Run, api: SmallApi) -> None:
    """As the platform behind the API wraps them."""
    for path, items in api.lists.items():
        key = path.rpartition("/")[2].rstrip("s")
        api.lists[path] = [{key: item} for item in items]
    status, document = _probe(run, api)
    assert status == 0, document["problems"]
    assert document["accounts"][0]["lists"][0]["items_wrapped_in"] == "disk"
    assert document["accounts"][0]["disks"]["findings"] == {}


def test_names_within_items_and_around_them_are_not_shown(run: Run, api: SmallApi) -> None:
    """A key may be a person's or a machine's name; only one that this project knows is shown."""
    _each(api, BACKUPS, lambda item: item.update(disk_id={"maria_lopez": 1}))
    for path, items in api.lists.items():
        api.lists[path] = [{"srv_canaryx": item} for item in items]
    outcome = run("probe", GIGAS_API_URL=api.url)
    assert "object with a key of 11 characters" in outcome.out
    assert "each item is wrapped in a key of 11 characters" in outcome.out
    assert not [name for name in ("maria", "canary") if name in outcome.out]


def test_the_fleet_is_told_as_check_tells_it(run: Run, api: SmallApi) -> None:
    """With disks locked for long, and in the words of two disks where it is two."""
    for item in api.lists[DISKS][:2]:
        item.update(locked=True)
    late = (ago(hours=100), "completed"), (ago(hours=1), "failed")
    for path in (BACKUPS, *(f"/account/4242/disk/{number}/backups" for number in (3, 4))):
        for item in api.lists[path]:
            if item["disk_id"] in {3, 4}:
                date, item["status"] = late[item["id"] % 1000 == 0]
                item["date_created"] = date
    told = run("probe", GIGAS_API_URL=api.url).out
    assert "ACCOUNT 1: 4 disks; 2 backups missed, 2 locked long, 2 last backups failed" in told
    checked = run("check", "--nagios", GIGAS_API_URL=api.url).out
    assert "4 of 4 disks need attention: 2 backups missed, 2 locked long, 2 last backups failed" in checked


def test_the_thresholds_of_the_configuration_count(run: Run, api: SmallApi, tmp_path: Path) -> None:
    """A disk that has been locked for days is judged as ``check`` judges it."""
    for item in api.lists[DISKS]:
        item.update(locked=True)
    text = f"api: {{url: '{api.url}'}}\naccounts: [{{id: 4242, token: t}}]\nthresholds: {{locked: 1y}}\n"
    outcome = _probe_with_file(run, tmp_path, text)
    assert "ACCOUNT 1: 4 disks; no findings" in outcome.out


def test_an_item_without_a_readable_id_makes_the_list_unreadable(run: Run, api: SmallApi) -> None:
    """One of four; the field is named."""
    api.lists[DISKS][1]["id"] = None
    status, document = _probe(run, api)
    assert status in {1, 2}
    assert ("disks", "id") in _told(document)


@pytest.mark.parametrize(
    ("change", "taken_as", "finding"),
    [
        ({"built": False, "status": None}, "unfinished", "never backed up"),
        ({"locked": True, "status": "odd"}, "not usable while locked or empty", "not understood"),
    ],
)
def test_backups_that_are_not_usable_are_counted_as_such(
    run: Run, api: SmallApi, change: dict[str, Any], taken_as: str, finding: str
) -> None:
    """A backup under way is in the list."""
    _each(api, BACKUPS, lambda item: item.update(change))
    document = _probe(run, api)[1]
    (row,) = document["accounts"][0]["lists"][2]["statuses"]
    assert row["taken_as"] == {taken_as: 12}
    assert document["accounts"][0]["disks"]["findings"] == {finding: 4}


@pytest.mark.parametrize("left", [(MACHINES,), (BACKUPS, MACHINES)])
def test_an_empty_list_of_disks_that_does_not_fit(run: Run, api: SmallApi, left: tuple[str, ...]) -> None:
    """What the account has besides says that it may have disks, too; an account without anything is understood."""
    for path in api.lists:
        if path not in left:
            api.lists[path] = []
    status, document = _probe(run, api)
    assert status == 1
    found = {problem["list"]: problem["problem"] for problem in document["problems"]}
    assert found["disks"].startswith("an empty list, although the account has ")
    for path in left:
        api.lists[path] = []
    assert _probe(run, api)[0] == 0


def test_own_lists_that_are_not_of_the_disk(run: Run, api: SmallApi) -> None:
    """They say nothing of a disk that no backup in them names."""
    others = [item for item in api.lists[BACKUPS] if item["disk_id"] != 2]
    for path in (BACKUPS, *(path for path in api.lists if path.endswith("/backups"))):
        api.lists[path] = list(others)
    status, document = _probe(run, api)
    assert status == 2
    (problem,) = document["problems"]
    assert problem["problem"] == "1 not accepted: a disk's own list contains backups of other disks"
    assert document["accounts"][0]["disks"]["findings"] == {"backups unreadable": 1}


def test_a_setting_that_was_advised_makes_the_probe_content(run: Run, api: SmallApi, tmp_path: Path) -> None:
    """The API's own name of a field, its lack of another, its zone and its units."""
    _each(api, DISKS, lambda item: item.update(has_autobackups=item.pop("autobackup")))
    _each(api, DISKS, lambda item: item.pop("error"))
    text = f"api: {{url: '{api.url}', fields: {{autobackup: has_autobackups, error: null}}}}\n"
    outcome = _probe_with_file(run, tmp_path, f"{text}accounts: [{{id: 4242, name: canary, token: t}}]\n")
    assert outcome.status == 0, outcome.out
    assert "canary" not in outcome.out


def test_an_account_is_chosen_and_a_wrong_one_is_named(run: Run, config: str) -> None:
    """As for every other command; all accounts are numbered."""
    both = json.loads(run("probe", "--output", "json", "--config.file", config, **NO_ENVIRONMENT).out)
    assert [each["account"] for each in both["accounts"]] == [1, 2]
    one = json.loads(
        run("probe", "--output", "json", "--account", "production", "--config.file", config, **NO_ENVIRONMENT).out
    )
    assert len(one["accounts"]) == 1
    wrong = run("probe", "--account", "produktion", "--config.file", config, **NO_ENVIRONMENT)
    assert wrong.status == 2
    assert "did you mean production?" in wrong.err


def test_discovered_accounts_are_read_and_reported(run: Run, cloud: SimulatorServer, tmp_path: Path) -> None:
    """The list of accounts is a list like the others."""
    text = f"api: {{url: '{cloud.url}'}}\ndiscover: true\ncredential: {{api_key: {cloud.world.api_key}}}\n"
    outcome = _probe_with_file(run, tmp_path, text)
    assert outcome.status == 0, outcome.out
    assert "accounts (GET /accounts): accepted; 2 items" in outcome.out
    assert "ACCOUNT 2" in outcome.out
    assert "customer" not in outcome.out
    assert "status                  text" in outcome.out
    assert "(not read)" not in outcome.out.partition("ACCOUNT 1")[0].partition("  status")[2].partition("\n")[0]


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        ([], "no account is listed for this credential"),
        ([{"id": 4242, "status": "terminated"}], "discovery skips all 1 by their status or product"),
    ],
)
def test_a_list_of_no_accounts_is_not_all_that_there_is(
    run: Run, tmp_path: Path, listed: list[dict[str, Any]], words: str
) -> None:
    """``check`` has nothing to read then, which is a problem; an account that is named is read all the same."""
    with SmallApi({**healthy(), "/accounts": listed}) as api:
        text = f"api: {{url: '{api.url}'}}\ndiscover: true\ncredential: {{api_key: k}}\n"
        outcome = _probe_with_file(run, tmp_path, text)
        named = _probe_with_file(run, tmp_path, text, "--account", "4242")
    assert outcome.status == named.status == 1, outcome.out
    assert words in outcome.out
    assert "ACCOUNT 1: 4 disks" in named.out
