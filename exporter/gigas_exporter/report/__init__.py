"""The findings about each disk, in words for people, worst first.

``check``, ``disks``, the status page, metrics, alerts and dashboards all show these findings in these words.
"""

from gigas_exporter.report.disks import (
    DiskReport,
    count_findings,
    needs_attention,
    report_account,
    worst_first,
)
from gigas_exporter.report.explain import (
    account_errors,
    command_for,
    doubt_of_empty,
    explain_all,
    explain_finding,
    explain_not_understood,
    paging_doubts,
)
from gigas_exporter.report.findings import METRIC_FINDINGS, NEED_BACKUPS, Finding, Severity
from gigas_exporter.report.judgement import Judgement, finding_limit, is_ahead, judge_account, machine_name

__all__ = [
    "METRIC_FINDINGS",
    "NEED_BACKUPS",
    "DiskReport",
    "Finding",
    "Judgement",
    "Severity",
    "account_errors",
    "command_for",
    "count_findings",
    "doubt_of_empty",
    "explain_all",
    "explain_finding",
    "explain_not_understood",
    "finding_limit",
    "is_ahead",
    "judge_account",
    "machine_name",
    "needs_attention",
    "paging_doubts",
    "report_account",
    "worst_first",
]
