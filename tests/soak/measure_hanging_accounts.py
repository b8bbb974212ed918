"""Measure how fresh one account stays while the other 49 of its credential hang, at the default settings.

``python tests/soak/measure_hanging_accounts.py [SECONDS]``; it takes some 5 minutes and hardly any processor.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from gigas_exporter.config import AccountSettings, PollSettings, Settings
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.model import Account
from support.polling import Watching, api_key
from support.raw_api import RawApi

ACCOUNTS = 50
GOOD = "25"


def main(seconds: float) -> None:
    """Print how often the good account's last success was at most two intervals ago."""
    accounts = [str(number) for number in range(1, ACCOUNTS + 1)]
    key, poll = api_key("a-key"), PollSettings()
    with RawApi(accounts, hanging=set(accounts) - {GOOD}) as api:
        settings = Settings(
            accounts=tuple(AccountSettings(Account(each), key) for each in accounts),
            api=ApiSettings(url=api.url),
            poll=poll,
        )
        began = time.time()
        watching = Watching(settings)
        first, ages = None, []
        while time.time() < began + seconds:
            time.sleep(1.0)
            outcome = watching.inventory(GOOD).outcomes.get("disks")
            succeeded = None if outcome is None else outcome.last_success_at
            if succeeded is not None:
                first = first or time.time() - began
                ages.append(time.time() - succeeded)
        tried = sum("disks" in each.outcomes for each in watching.store.snapshot())
        requests = api.by_account("disks")
        watching.service.stop()
    fresh = sum(age <= 2 * poll.interval for age in ages)
    sys.stdout.write(
        f"timeout {settings.api.timeout_seconds:g} s, interval {poll.interval:g} s, {seconds:g} s in all\n"
        f"first success after {first or -1:.1f} s, {tried} of {ACCOUNTS} accounts tried\n"
        f"fresh in {fresh} of {len(ages)} samples, oldest {max(ages, default=-1):.1f} s\n"
        f"requests for disks: {requests[GOOD]} of the good account, {max(requests.values())} at most of one\n"
    )


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 300.0)
