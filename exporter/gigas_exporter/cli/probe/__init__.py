"""``probe``: report what the API really returns, without personal data."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from typing import Any, Final, Literal

import click

from gigas_exporter import __version__, formatting
from gigas_exporter.cli.accounts import account_options, account_settings, choose_accounts
from gigas_exporter.cli.messages import progress
from gigas_exporter.cli.options import GroupedCommand, output_option
from gigas_exporter.cli.output import render_json
from gigas_exporter.cli.poll_once import poll_account
from gigas_exporter.cli.probe.facts import describe_list
from gigas_exporter.cli.probe.fields import Problem, problem_of
from gigas_exporter.cli.probe.lists import ListReading, Recorder, join_lists
from gigas_exporter.cli.probe.text import render_text
from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import DEFAULT_URL, Credential, LoginStates
from gigas_exporter.gigas.api_requests import account_path, disk_path
from gigas_exporter.inventory import AccountInventory, Resource
from gigas_exporter.model import Account
from gigas_exporter.poller.account import POLL_ORDER
from gigas_exporter.report import Finding, count_findings, doubt_of_empty, report_account

__all__ = ["probe"]

_UNDERSTOOD, _NOT_UNDERSTOOD, _UNREADABLE = 0, 1, 2
_RESULTS: Final = ("all understood", "something is not understood", "a list could not be read")
_GIB: Final = 2**30
_PLAUSIBLE_DISK_BYTES: Final = (_GIB / 4, 64 * 1024 * _GIB)
_PLAUSIBLE_SHARE: Final = (1e-4, 20.0)
_BY_DISK: Final = "poll.backups_source: disk"


@click.command(
    cls=GroupedCommand,
    epilog="""Exit status: 0 all understood, 1 something not understood,
2 a list could not be read.

\b
Example:
  gigas-exporter probe > probe.txt""",
)
@output_option("text", "json")
@account_options(help="Only this account, by id or name.")
@click.pass_context
def probe(ctx: click.Context, /, output: Literal["text", "json"], account: str | None, **flags: Any) -> None:
    """Report what the API returns and what is not understood.

    Polls each account once, as the exporter does. The report contains types and forms of fields, counts, status words,
    and the settings to change. It contains no names, ids, addresses or other personal data, so it can be published.
    """
    asked = () if account is None else (account,)
    settings = account_settings(asked, flags)
    with progress("reading the API's lists") as show:
        document, status = _probe(settings, asked, SystemClock(), show)
    click.echo(render_json(document) if output == "json" else render_text(document), nl=False)
    ctx.exit(status)


def _probe(
    settings: Settings, asked: Collection[str], clock: Clock, show: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    document: dict[str, Any] = {
        "version": __version__,
        "api": DEFAULT_URL if settings.api.url == DEFAULT_URL else "an address that is not shown",
        "settings": _settings_shown(settings),
        "accounts_list": None,
    }
    problems: list[Problem] = []
    states = LoginStates()
    accounts = settings.accounts
    if settings.discovery is not None:
        show("accounts")
        reading = _read_accounts(settings, settings.discovery, clock, states)
        document["accounts_list"], problems = describe_list(reading, settings, clock.wall())
        accounts = tuple(AccountSettings(each, settings.discovery) for each in reading.decoded_items)
        if not accounts and not problems:
            problems = [problem_of("accounts", None, "no account is listed for this credential", "accounts[].id")]
        if accounts and all(settings.discovery_filter.excludes(each.account) for each in accounts):
            text = f"discovery skips all {len(accounts)} by their status or product"
            problems.append(problem_of("accounts", None, text, "discover.status, discover.product_id"))
        if not accounts:  # the credential may read an account without listing any
            accounts = tuple(AccountSettings(Account(account), settings.discovery) for account in asked)
    accounts = choose_accounts(accounts, asked)
    probes = [
        _probe_account(number, settings, each, clock, show, login_states=states)
        for number, each in enumerate(accounts, 1)
    ]
    problems += [{**problem, "account": facts["account"]} for facts, each in probes for problem in each]
    unreadable = any(each["unreadable"] for each in problems)
    status = _UNREADABLE if unreadable else _NOT_UNDERSTOOD if problems else _UNDERSTOOD
    accounts_facts = [facts for facts, _ in probes]
    return {**document, "result": _RESULTS[status], "problems": problems, "accounts": accounts_facts}, status


def _read_accounts(settings: Settings, credential: Credential, clock: Clock, login_states: LoginStates) -> ListReading:
    recorder = Recorder(settings.api, clock.wall())
    with recorder.client(credential, clock=clock, login_states=login_states) as client, suppress(GigasError):
        client.list_accounts()
    return recorder.get("accounts", "/accounts")


def _settings_shown(settings: Settings) -> dict[str, Any]:
    decoding = settings.api.decoding
    return {
        "api.page_size": settings.api.page_size,
        "api.time_zone": str(decoding.time_zone),
        "api.disk_size_unit": decoding.disk_size_unit,
        "api.backup_size_unit": decoding.backup_size_unit,
        "api.fields": ", ".join(sorted(decoding.fields)) or "none",
        "poll.backups_source": settings.poll.backups_source,
    }


def _probe_account(
    number: int,
    settings: Settings,
    account: AccountSettings,
    clock: Clock,
    progress: Callable[[str], None],
    *,
    login_states: LoginStates,
) -> tuple[dict[str, Any], list[Problem]]:
    """Poll an account as the exporter does; return the facts and problems.

    ``number`` identifies the account in the report, which has no ids.
    """
    account_id = account.account.id
    recorder = Recorder(settings.api, clock.wall(), lambda count: progress(f"account {number}: {count} lists read"))
    with recorder.client(account.credential, clock=clock, login_states=login_states) as client:
        inventory, polls = poll_account(settings, account, client, clock, needs_disks=False)
        lists = {each: recorder.get(each, account_path(account_id, each)) for each in POLL_ORDER}
        paths = {disk.id: disk_path(account_id, disk.id, "backups") for disk in lists["disks"].decoded_items}
        asked = {disk_id: path for disk_id, path in paths.items() if path in recorder.lists}
        shown = next(iter(asked or paths), None)
        if shown is not None and not asked:
            with suppress(GigasError):
                client.list_disk_backups(account_id, shown)
    unread = inventory.backups.failed_disks if inventory.backups is not None else frozenset(asked)
    own_lists = {each: recorder.lists[path] for each, path in paths.items() if path in recorder.lists}
    own = join_lists(own_lists, lambda disk_id: disk_id in unread or disk_id not in asked) if own_lists else None
    for resource, reading in lists.items():
        if reading.is_asked or resource != "backups":
            reading.error = reading.error or polls[resource].failure
    lists["backups"].is_needed = polls["backups"].failure is not None  # otherwise the backups were read disk by disk
    if own is not None:
        own.rejected = max(own.rejected, len(unread & asked.keys()))
        if own.rejected:
            own.error = own.error or polls["backups"].partial
        if polls["disks"].failure is None and not lists["backups"].is_asked:
            own.error = own.error or polls["backups"].failure
    if own is not None and own.is_accepted:
        lists["backups"].alternative = _BY_DISK
    shown_lists = [each for each in (*lists.values(), own) if each is not None and each.is_asked]
    described = [describe_list(each, settings, clock.wall()) for each in shown_lists]
    problems = [problem for _, each in described for problem in each]
    problems += _across(inventory, lists, own)
    disks = _judge(inventory, clock, problems, not_asked=len(unread - asked.keys()))
    return {"account": number, "lists": [facts for facts, _ in described], "disks": disks}, problems


def _across(
    inventory: AccountInventory, lists: Mapping[Resource, ListReading], own: ListReading | None
) -> Iterator[Problem]:
    """Yield the contradictions between the lists."""
    disks, backups = lists["disks"].decoded_items, lists["backups"].decoded_items
    if unassigned := inventory.backups.unassigned if inventory.backups is not None else None:
        text = f"{unassigned} of {len(backups)} name no listed disk"
        yield problem_of("backups", "disk_id", text, lists["backups"].alternative)
    if own is not None and lists["backups"].is_accepted:
        missing = {backup.id for backup in own.decoded_items} - {backup.id for backup in backups}
        if missing:
            text = f"{len(missing)} of {len(own.decoded_items)} backups in disks' own lists are not in the account's"
            yield problem_of("disk_backups", "id", text, _BY_DISK)
    yield from _sizes(disks, (*backups, *(own.decoded_items if own is not None else ())))


def _sizes(disks: tuple[Any, ...], backups: tuple[Any, ...]) -> Iterator[Problem]:
    """Yield sizes that are implausible in the unit in which they are read."""
    by_id = {disk.id: disk.size_bytes for disk in disks if disk.size_bytes}
    typical = _median(list(by_id.values()))
    if typical is not None and not _PLAUSIBLE_DISK_BYTES[0] <= typical <= _PLAUSIBLE_DISK_BYTES[1]:
        magnitude = formatting.format_size(10 ** (len(str(round(typical))) - 1)).split()[-1]
        yield problem_of("disks", "disk_size", f"a typical disk would be measured in {magnitude}", "api.disk_size_unit")
    shares = [each.size_bytes / by_id[each.disk_id] for each in backups if each.size_bytes and each.disk_id in by_id]
    share = _median(shares)
    if share is not None and not _PLAUSIBLE_SHARE[0] <= share <= _PLAUSIBLE_SHARE[1]:
        text = f"a typical backup would have {share:.0e} times the size of its disk"
        yield problem_of("backups", "backup_size", text, "api.backup_size_unit")


def _median(values: list[float]) -> float | None:
    return sorted(values)[len(values) // 2] if values else None


def _judge(inventory: AccountInventory, clock: Clock, problems: list[Problem], not_asked: int) -> dict[str, Any] | None:
    """Return how many disks have each finding; add contradictions to ``problems``.

    ``not_asked`` counts the disks without a backup in the account's list whose own lists were not read.
    """
    if doubt := doubt_of_empty(inventory, clock.monotonic()):
        problems.append(problem_of("disks", None, f"an empty list, {doubt}", "another credential"))
    if inventory.disks is None:
        return None
    reports = report_account(inventory, wall=clock.wall(), monotonic=clock.monotonic())
    counts = count_findings(reports)
    if (unreadable := counts[Finding.BACKUPS_UNREADABLE]) and not problems:
        what = f"the backups of {formatting.format_count(unreadable, 'disk')} are unreadable"
        problems.append(problem_of("backups", None, what))
    unclear = counts[Finding.NOT_UNDERSTOOD]
    if unclear and not any(problem["list"] in {"disks", "virtual_machines"} for problem in problems):
        problems.append(problem_of("disks", None, f"{unclear} disks cannot be judged: not understood"))
    return {
        "disks": len(reports),
        "findings": {finding.value: counts[finding] for finding in Finding if counts[finding]},
        "backups_known": inventory.backups is not None,
        "disks_not_asked": not_asked,
    }
