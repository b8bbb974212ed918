"""Run commands in this process against an API."""

from __future__ import annotations

from click.testing import CliRunner, Result

from gigas_exporter.cli.main import cli


def run_command(url: str, *arguments: str, account_id: str = "4242", api_key: str = "k", **environ: str) -> Result:
    """Run a command; the only variables of the exporter are those of one account and ``environ``."""
    account = {"GIGAS_API_URL": url, "GIGAS_ACCOUNT_ID": account_id, "GIGAS_API_KEY": api_key}
    return CliRunner().invoke(cli, arguments, env={**account, "GIGAS_API_MAX_REQUESTS_PER_SECOND": "0", **environ})
