"""The metrics about the exporter itself.

A metric is defined here or in ``families``, and nowhere else.
"""

from __future__ import annotations

from operator import attrgetter
from typing import Literal

from gigas_exporter.inventory import PollStatus
from gigas_exporter.metrics.family import Family, Gauge

ACCOUNT_LABELS = ("account_id",)
POLL_LABELS = ("account_id", "resource")


_counted: list[Family] = []


def _family(
    name: str, text: str, labels: tuple[str, ...], source: str, kind: Literal["gauge", "histogram"] = "gauge"
) -> Family:
    _counted.append(Family(name, "counter" if name.endswith("_total") else kind, text, labels, source))
    return _counted[-1]


BUILD_INFO = _family(
    "gigas_exporter_build_info",
    "The exporter that serves this page: its version and the Python that runs it.",
    ("version", "python_version", "python_implementation"),
    "the program",
)

POLL_FAMILIES: tuple[Gauge[PollStatus], ...] = (
    Gauge(
        "gigas_exporter_poll_success",
        "gauge",
        "Whether the last poll of the resource succeeded (1) or failed (0).",
        POLL_LABELS,
        "result of the poll",
        attrgetter("success"),
    ),
    Gauge(
        "gigas_exporter_poll_last_success_timestamp_seconds",
        "gauge",
        "When the last successful poll of the resource ended, UNIX time.",
        POLL_LABELS,
        "clock",
        attrgetter("last_success_at"),
    ),
    Gauge(
        "gigas_exporter_poll_duration_seconds",
        "gauge",
        "How long the last poll of the resource took.",
        POLL_LABELS,
        "clock",
        attrgetter("duration_seconds"),
    ),
)
"""Read from the status of a resource's last poll."""

INTERVAL_FAMILIES: tuple[Gauge[float], ...] = (
    Gauge(
        "gigas_exporter_poll_interval_seconds",
        "gauge",
        "The configured time between two polls of the resource.",
        POLL_LABELS,
        "`poll` of the configuration",
        float,
    ),
)
"""Read from the interval between polls of a resource."""

POLL_INVALID_ITEMS: Gauge[int] = Gauge(
    "gigas_exporter_poll_invalid_items",
    "gauge",
    "Values that the last poll of the resource did not understand, by field, and missing fields that decide; absent if "
    "there are none.",
    (*POLL_LABELS, "field"),
    "result of the poll",
    int,
)

POLLS = _family("gigas_exporter_polls_total", "Completed polls of the resource.", POLL_LABELS, "count")
POLL_FAILURES = _family(
    "gigas_exporter_poll_failures_total",
    "Failed polls of the resource, by reason.",
    (*POLL_LABELS, "reason"),
    "count",
)
API_REQUESTS = _family(
    "gigas_exporter_api_requests_total",
    "Requests to the API, by operation and by code: the HTTP status, or timeout, connection or invalid.",
    ("operation", "code"),
    "count",
)
API_REQUEST_DURATION = _family(
    "gigas_exporter_api_request_duration_seconds",
    "Duration of requests to the API, from connect to the last byte of the response.",
    ("operation",),
    "clock",
    "histogram",
)
API_RETRIES = _family("gigas_exporter_api_retries_total", "Retried requests to the API.", ("operation",), "count")
INVALID_ITEMS = _family(
    "gigas_exporter_invalid_items_total",
    "Values in responses of the API that were not understood, and dates in the future.",
    (*POLL_LABELS, "field"),
    "count",
)
TOKEN_EXPIRY = _family(
    "gigas_exporter_api_token_expiry_timestamp_seconds",
    "When the session token in use ends, as the API said at login, UNIX time.",
    ACCOUNT_LABELS,
    "`expires` of the token",
)
DISCOVERY_SUCCESS = _family(
    "gigas_exporter_discovery_success",
    "Whether the last discovery listed all accounts, and at least one (1), or not (0); only with discover.",
    (),
    "result of listing the accounts",
)
ACCOUNTS = _family(
    "gigas_exporter_accounts",
    "Watched accounts; with discover, absent until they were listed once.",
    (),
    "configuration or list of accounts",
)
ACCOUNTS_UNPOLLED = _family(
    "gigas_exporter_accounts_unpolled",
    "Watched accounts whose first poll waits for a free worker.",
    (),
    "the poll schedule",
)
ACCOUNTS_SKIPPED = _family(
    "gigas_exporter_accounts_skipped",
    "Listed accounts that discovery skips.",
    (),
    "list of accounts",
)
LOGIN_BLOCKED = _family(
    "gigas_exporter_login_blocked",
    "Whether a rejected login waits to be sent again (1) or not (0); only with logins.",
    ACCOUNT_LABELS,
    "response to the login",
)
RELOAD_SUCCESSFUL = _family(
    "gigas_exporter_config_last_reload_successful",
    "Whether the last load of the configuration succeeded (1) or failed (0).",
    (),
    "result of the load",
)
RELOAD_SUCCESS_TIMESTAMP = _family(
    "gigas_exporter_config_last_reload_success_timestamp_seconds",
    "When the configuration was last loaded with success, UNIX time.",
    (),
    "clock",
)
LOG_LINES_DROPPED = _family(
    "gigas_exporter_log_lines_dropped_total",
    "Log lines dropped because standard error did not accept them.",
    (),
    "count",
)

COUNTED_FAMILIES = tuple(_counted)
"""The families that :mod:`.telemetry` holds, in the order of the exposition."""

EXPORTER_FAMILIES: tuple[Family, ...] = (*POLL_FAMILIES, *INTERVAL_FAMILIES, POLL_INVALID_ITEMS, *COUNTED_FAMILIES)
"""Every metric of this module."""
