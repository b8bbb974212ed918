"""The exporter itself: whether it answers, how fresh its data are, how the API behaves, what it costs."""

from __future__ import annotations

from dashboards.generate import queries as q
from dashboards.generate.dashboard import ACCOUNT, Line, dashboard_json
from dashboards.generate.data_freshness import exporters_down
from dashboards.generate.panels import Query, graph, numbers
from dashboards.generate.style import BAD, BUILT_IN_LIMITS, GOOD, WARN, judged, steps, words
from dashboards.generate.tables import THE_STATUS_PAGE, Column, table_of

__all__ = ["NAME", "exporter"]

NAME = "gigas-exporter"

_E = q.EXPORTER
_F = q.FLEET
_DRAWN = 30
_MINUTE = 60
"""Ages of data are drawn in minutes, for round numbers at the axis."""
_RATE = "[$__rate_interval]"
_CPU = f"rate({_E('process_cpu_seconds_total')}{_RATE})"
_NO_SUCCESS = 'code!~"2.."'


def _rate(metric: str, by: str, scope: q.Scope, extra: str = "") -> str:
    """Return a counter's growth by the second."""
    return f"sum by ({by}) (rate({scope(metric, extra)}{_RATE}))"


def _a_minute(metric: str, by: str, scope: q.Scope) -> str:
    """Return a counter's growth by the minute: what is polled once a minute would be 0.0167 by the second."""
    return f"60 * {_rate(metric, by, scope)}"


def _health() -> Line:
    success = words({"0": ("failed", BAD), "1": ("well", GOOD)})
    panels = [
        (
            4,
            numbers(
                "Exporters up",
                "Exporters that answer Prometheus.",
                Query(f"sum({q.up()})"),
                levels=steps(BAD, (1, GOOD)),
                no_value="no exporter",
            ),
        ),
        (
            4,
            exporters_down(),
        ),
        (
            4,
            numbers(
                "Polls failing",
                "Accounts and resources whose last poll failed.",
                Query(f"sum({_F('gigas_exporter_poll_success')} == bool 0)"),
                levels=judged(GOOD, (1, WARN)),
                no_value="not polled yet",
            ),
        ),
        (
            4,
            numbers(
                "Reload, list of accounts",
                "Whether the last reload went well; the old configuration stays in force when it did not."
                " With discover: true, also whether the accounts could be listed.",
                Query(f"min({_E('gigas_exporter_config_last_reload_successful')})", "reload"),
                Query(f"min({_E('gigas_exporter_discovery_success')})", "accounts"),
                mappings=success,
                no_value="no exporter",
            ),
        ),
        (
            4,
            numbers(
                "Configuration loaded",
                "How long ago the configuration in force was loaded, by the exporter that is furthest behind.",
                Query(f"max(time() - {_E('gigas_exporter_config_last_reload_success_timestamp_seconds')})"),
                unit="dtdurations",
                no_value="no exporter",
            ),
        ),
        (
            4,
            numbers(
                "Next login token to expire",
                "Time until the first login token expires; it is renewed before."
                " No value: tokens and keys are used, which do not expire.",
                Query(f"clamp_min(min({_F('gigas_exporter_api_token_expiry_timestamp_seconds')}) - time(), 0)"),
                unit="dtdurations",
                levels=judged(BAD, (1, GOOD)),
                no_value="no login",
            ),
        ),
    ]
    return Line(4, panels, "Is it well?")


def _accounts() -> Line:
    accounts = numbers(
        "Accounts",
        "Accounts that are watched, that wait for their first poll, and that discovery leaves out.",
        Query(f"sum({_E('gigas_exporter_accounts')})", "watched"),
        Query(f"sum({_E('gigas_exporter_accounts_unpolled')})", "waiting"),
        Query(f"sum({_E('gigas_exporter_accounts_skipped')})", "left out"),
        no_value="not known",
    )
    logins = numbers(
        "Logins that wait",
        "Accounts whose refused login is not sent again yet. No value: tokens and keys are used.",
        Query(f"sum({_F('gigas_exporter_login_blocked')})"),
        levels=judged(GOOD, (1, WARN)),
        no_value="no login",
    )
    return Line(4, [(16, accounts), (8, logins)])


def _by_resource(metric: str, choose: str) -> str:
    """Return a metric of accounts and resources over time, bounded at each point, with the accounts' names."""
    return q.account_named(f"{choose}({_DRAWN}, {_F(metric)})")


def _freshness() -> list[Line]:
    last, took = "gigas_exporter_poll_last_success_timestamp_seconds", "gigas_exporter_poll_duration_seconds"
    age = graph(
        "Age of the data",
        f"How long ago each resource of an account was last read; the {_DRAWN} furthest behind.",
        Query(f"(time() - {_by_resource(last, 'bottomk')}) / {_MINUTE}", "{{name}} {{account_id}} {{resource}}"),
        unit="m",
        levels=steps(GOOD, (BUILT_IN_LIMITS.disks_stale_seconds / _MINUTE, BAD)),
        no_value="never read",
    )
    duration = graph(
        "Duration of polls",
        f"How long the last poll of a resource took; the {_DRAWN} slowest.",
        Query(_by_resource(took, "topk"), "{{name}} {{account_id}} {{resource}}"),
        unit="s",
        no_value="not polled yet",
    )
    failed = f"bottomk(50, {_F('gigas_exporter_poll_success')})"
    polls = table_of(
        "Polls by account",
        "The last poll of each account and resource, failed ones first, at most 50.",
        Query(q.account_named(failed)),
        Query(f"topk(50, time() - {_F(last)})"),
        # Times one, which takes the metric's name away: rows with different names would not be made one.
        Query(f"topk(50, 1 * {_F('gigas_exporter_poll_interval_seconds')})"),
        Query(f"topk(50, 1 * {_F('gigas_exporter_poll_duration_seconds')})"),
        columns=[
            Column(
                "Value #A",
                "Last poll",
                width=90,
                coloured=True,
                mappings=words({"0": ("failed", WARN), "1": ("well", GOOD)}),
            ),
            Column("name", "Account", filterable=True),
            Column("account_id", "Account ID", width=90),
            Column("resource", "Resource", filterable=True, width=140),
            Column("Value #B", "Last read", unit="s", width=95, no_value="never"),
            Column("Value #C", "Interval", unit="s", width=80),
            Column("Value #D", "Took", unit="s", width=80),
            Column("instance", "Instance"),
        ],
        sort_by="Last poll",
        descending=False,
        no_value="Nothing was polled yet.",
    )
    rates = graph(
        "Polls a minute",
        "Polls that ended, and those of them that failed, by resource.",
        Query(_a_minute("gigas_exporter_polls_total", "resource", _F), "{{resource}}"),
        Query(
            _a_minute("gigas_exporter_poll_failures_total", "resource, reason", _F) + " > 0",
            "{{resource}} failed: {{reason}}",
        ),
        unit="short",
        no_value="no polls",
    )
    return [
        Line(9, [(12, age), (12, duration)], "How fresh are the data?"),
        Line(9, [(14, polls), (10, rates)]),
    ]


def _api() -> list[Line]:
    # An operation that was not requested would be drawn as NaN.
    bucket = _rate("gigas_exporter_api_request_duration_seconds_bucket", "operation, le", _E)
    total = "gigas_exporter_api_requests_total"
    latency = graph(
        "Latency",
        "How long requests to the API took: the median and the 95th percentile of each operation.",
        Query(f"histogram_quantile(0.5, {bucket}) >= 0", "{{operation}} median"),
        Query(f"histogram_quantile(0.95, {bucket}) >= 0", "{{operation}} 95 %"),
        unit="s",
        no_value="no requests",
    )
    mean = graph(
        "Mean latency",
        "Mean duration of requests by operation.",
        Query(
            _rate("gigas_exporter_api_request_duration_seconds_sum", "operation", _E)
            + f" / ({_rate('gigas_exporter_api_request_duration_seconds_count', 'operation', _E)} > 0)",
            "{{operation}}",
        ),
        unit="s",
        no_value="no requests",
    )
    codes = graph(
        "Requests a minute by outcome",
        "Requests to the API by what came of them: the HTTP status, or why there was none.",
        Query(_a_minute(total, "code", _E), "{{code}}"),
        unit="short",
        stacked=True,
        no_value="no requests",
    )
    failed = graph(
        "Share of failed requests",
        "Requests that got no answer, an error status, or nonsense.",
        Query(
            f"{_rate(total, 'operation', _E, _NO_SUCCESS)} / ({_rate(total, 'operation', _E)} > 0)",
            "{{operation}}",
        ),
        unit="percentunit",
        highest=1,
        no_value="none failed",
    )
    retries = graph(
        "Retries a minute",
        "Requests that were tried once more.",
        Query(_a_minute("gigas_exporter_api_retries_total", "operation", _E), "{{operation}}"),
        unit="short",
        no_value="no requests",
    )
    now_invalid = graph(
        "Values not understood in the last poll",
        "By account and field, and the disks that cannot be judged for that; the 30 with the most of each.",
        Query(f"topk(30, {_F('gigas_exporter_poll_invalid_items')})", "{{account_id}} {{resource}} {{field}}"),
        Query(f"topk(30, {_F('gigas_account_disks_undecided')})", "{{account_id}} disks not judged for {{field}}"),
        unit="short",
        no_value="all were understood",
    )
    invalid = graph(
        "Values not understood, a minute",
        "Values in the API's answers that could not be understood; what they would"
        " have said is left out. The 30 fields with the most.",
        Query(
            f"topk(30, {_a_minute('gigas_exporter_invalid_items_total', 'resource, field', _F)} > 0)",
            "{{resource}} {{field}}",
        ),
        unit="short",
        no_value="all were understood",
    )
    return [
        Line(9, [(8, latency), (8, mean), (8, codes)], "How does the API behave?"),
        Line(9, [(6, failed), (6, retries), (6, invalid), (6, now_invalid)]),
    ]


def _costs() -> list[Line]:
    memory = graph(
        "Memory",
        "Resident memory of each exporter.",
        Query(f"topk(20, {q.of_exporters('process_resident_memory_bytes')})", "{{instance}}"),
        unit="bytes",
    )
    cpu = graph(
        "CPU",
        "Processor time used by each exporter, as a share of one core.",
        Query(f"topk(20, {_CPU} and on (job, instance) {_E('gigas_exporter_build_info')})", "{{instance}}"),
        unit="percentunit",
    )
    files = graph(
        "Open files",
        "File descriptors that each exporter holds.",
        Query(f"topk(20, {q.of_exporters('process_open_fds')})", "{{instance}}"),
        unit="short",
    )
    series = graph(
        "Series",
        "Samples in each scrape: what the fleet costs Prometheus.",
        Query(f"topk(20, {q.of_exporters('scrape_samples_scraped')})", "{{instance}}"),
        unit="short",
    )
    dropped = graph(
        "Log lines dropped a minute",
        "Lines that standard error did not take.",
        Query(_a_minute("gigas_exporter_log_lines_dropped_total", "instance", _E), "{{instance}}"),
        unit="short",
    )
    scrape = graph(
        "Scrape duration",
        "How long Prometheus waited for the page.",
        Query(f"topk(20, {q.of_exporters('scrape_duration_seconds')})", "{{instance}}"),
        unit="s",
    )
    versions = table_of(
        "Versions",
        "What runs where, and since when; at most 50. A click on an instance opens its status page.",
        Query(f"topk(50, {_E('gigas_exporter_build_info')})"),
        Query(f"topk(50, max by (job, instance) (1000 * ({q.of_exporters('process_start_time_seconds')})))"),
        columns=[
            Column("instance", "Instance", leads_to=THE_STATUS_PAGE),
            Column("job", "Job", width=80),
            Column("version", "Version", width=75),
            Column("python_version", "Python", width=75),
            Column("Value #B", "Started", unit="dateTimeFromNow", width=110),
        ],
        sort_by="Instance",
        descending=False,
        no_value="No exporter answers.",
    )
    return [
        Line(8, [(8, memory), (8, cpu), (8, files)], "What does it cost?"),
        Line(8, [(5, series), (5, scrape), (5, dropped), (9, versions)]),
    ]


def exporter() -> str:
    """Return the dashboard's JSON."""
    return dashboard_json(
        NAME,
        "Gigas / Exporter",
        "Whether the exporter answers, how fresh its data are, how the API behaves, and what it costs.",
        lines=[_health(), _accounts(), *_freshness(), *_api(), *_costs()],
        variables=[ACCOUNT],
        alerts=f"count by (alertname, severity) ({q.firing(q.ALERTS)})",
    )
