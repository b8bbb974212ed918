"""``probe``: what the API really answers, without any personal value."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Literal

import click

from gigas_exporter import __version__, logs
from gigas_exporter.cli.accounts import account_options, account_settings, choose_account
from gigas_exporter.cli.messages import progress
from gigas_exporter.cli.options import GroupedCommand, output_option
from gigas_exporter.cli.output import render_json
from gigas_exporter.cli.probe.account import probe_account
from gigas_exporter.cli.probe.facts import describe_list
from gigas_exporter.cli.probe.fields import Problem
from gigas_exporter.cli.probe.lists import ListReading, Recorder
from gigas_exporter.cli.probe.text import render_text
from gigas_exporter.clock import Clock, SystemClock
from gigas_exporter.config import AccountSettings, Settings
from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import DEFAULT_URL, Credential, LoginStates
from gigas_exporter.model import Account

__all__ = ["probe"]

_UNDERSTOOD, _NOT_UNDERSTOOD, _UNREADABLE = 0, 1, 2
_RESULTS: Final = ("all understood", "something is not understood", "a list could not be read")


@click.command(
    cls=GroupedCommand,
    epilog="""Exit status: 0 all understood, 1 something not understood,
2 a list could not be read.

\b
Example:
  gigas-exporter probe > probe.txt""",
)
@output_option("text", "json", help="How the report is written.")
@account_options(help="Only this account, by id or name.")
@click.pass_context
def probe(ctx: click.Context, /, output: Literal["text", "json"], account: str | None, **flags: Any) -> None:
    """Report what the API answers, and what of it is not understood.

    Polls each account once, as the exporter does. The report has no names, ids, addresses or other personal values, so
    that it can be published: types and forms of fields, counts, status words, and the setting to change.
    """
    asked = () if account is None else (account,)
    settings = account_settings(asked, flags)
    logs.configure(settings.log.level, settings.log.format)
    with progress("reading the API's lists") as show:
        document, status = _probe(settings, account, SystemClock(), show)
    click.echo(render_json(document) if output == "json" else render_text(document), nl=False)
    ctx.exit(status)


def _probe(
    settings: Settings, account: str | None, clock: Clock, show: Callable[[str], None]
) -> tuple[dict[str, Any], int]:
    document: dict[str, Any] = {
        "version": __version__,
        "api": DEFAULT_URL if settings.api.url == DEFAULT_URL else "an address that is not shown",
        "settings": _settings_shown(settings),
    }
    problems: list[Problem] = []
    states = LoginStates()
    document["accounts_list"] = None
    accounts = settings.accounts
    if settings.discovery is not None:
        show("accounts")
        reading = _read_accounts(settings, settings.discovery, clock, states)
        document["accounts_list"], problems = describe_list(reading, None, settings, clock.wall())
        accounts = tuple(AccountSettings(each, settings.discovery) for each in reading.decoded_items)
        if not accounts and not problems:
            problems = [Problem(None, "accounts", None, "no account is listed for this credential", "accounts[].id")]
        if account is not None and not accounts:  # it may be allowed to read an account and not to list them
            accounts = (AccountSettings(Account(account), settings.discovery),)
    accounts = choose_account(accounts, account)
    probes = [
        probe_account(number, settings, each, clock, show, login_states=states)
        for number, each in enumerate(accounts, 1)
    ]
    problems += [problem for each in probes for problem in each.problems]
    status = _UNREADABLE if any(each.unreadable for each in problems) else _NOT_UNDERSTOOD if problems else _UNDERSTOOD
    return {
        **document,
        "result": _RESULTS[status],
        "problems": [_problem(each) for each in problems],
        "accounts": [each.facts for each in probes],
    }, status


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


def _problem(problem: Problem) -> dict[str, Any]:
    return {
        "account": problem.account,
        "list": problem.list,
        "field": problem.field,
        "problem": problem.text,
        "try": problem.setting,
        "unreadable": problem.unreadable,
    }
