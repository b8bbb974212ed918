"""What values look like: the few colours that mean something, the limits that they stand for, and words for numbers.

It owns no panel, and asks nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.builders import dashboard as build
from grafana_foundation_sdk.models import dashboard as model

__all__ = [
    "BAD",
    "BUILT_IN_LIMITS",
    "DAY",
    "FINDINGS",
    "FINDING_NAMES",
    "FLAG",
    "GOOD",
    "HOUR",
    "NOTICE",
    "NOT_KNOWN",
    "PLAIN",
    "SEVERITIES",
    "SEVERITY",
    "SHARE_OF_LIMIT",
    "SHARE_OF_LIMIT_CELL",
    "WARN",
    "Mappings",
    "by_thresholds",
    "judged",
    "setting",
    "steps",
    "threshold_setting",
    "thresholds",
    "words",
]

GOOD, NOTICE, WARN, BAD, PLAIN = "#0072B2", "#7FC8F0", "#F5B700", "#D55E00", "text"
"""Blue, light blue, amber, vermilion, after Okabe and Ito: told apart with any common colour vision, and never without
a word. The light ones are so light that Grafana writes black on them, the dark ones so dark that it writes white."""

Mappings = list[model.ValueMapping]


@dataclass(frozen=True, slots=True)
class BuiltInLimits:
    """The limits that no metric carries; the alert rules use the same.

    Attributes:
        disks_late_seconds: From when on the disks' data are late.
        disks_stale_seconds: `GigasDataStale`.
        backups_stale_polls: `GigasBackupsDataStale`, in backup polls.
        missed_share: `GigasDiskBackupMissed`, as a share of the policy's limit.
    """

    disks_late_seconds: float = 300
    disks_stale_seconds: float = 900
    backups_late_polls: float = 2
    backups_stale_polls: float = 4
    missed_share: float = 2


BUILT_IN_LIMITS = BuiltInLimits()


def steps(base: str, *others: tuple[float, str]) -> list[model.Threshold]:
    """Return thresholds: the base colour, then each colour from its value upwards."""
    return [model.Threshold(None, base), *(model.Threshold(value, colour) for value, colour in others)]


def judged(lowest: str, *others: tuple[float, str], unknown: str = PLAIN) -> list[model.Threshold]:
    """Return thresholds for numbers from 0 upwards; no value has the colour ``unknown``.

    Grafana gives no value the base colour, so that with a base that means something 'none required' would look bad, and
    'never read' well.
    """
    return steps(unknown, (0, lowest), *others)


def words(texts: Mapping[str, tuple[str, str | None]]) -> Mappings:
    """Return a mapping of single values to a text and a colour."""
    return [
        model.ValueMap(
            {
                value: model.ValueMappingResult(text=text, color=colour, index=index)
                for index, (value, (text, colour)) in enumerate(texts.items())
            }
        )
    ]


NOT_KNOWN: Mappings = [
    model.SpecialValueMap(
        model.DashboardSpecialValueMapOptions(
            match=model.SpecialValueMatch.NULL_AND_NAN, result=model.ValueMappingResult(text="not known", index=0)
        )
    )
]
"""The text for a value that is missing for a disk."""

_FINDINGS = {
    "never_backed_up": ("Never backed up", BAD),
    "backup_missed": ("Backup missed", BAD),
    "disk_error": ("Disk error", BAD),
    "not_understood": ("Not understood", WARN),
    "backups_unreadable": ("Backups unreadable", WARN),
    "backup_stale": ("Backup stale", WARN),
    "locked_long": ("Locked long", WARN),
    "backup_failed": ("Last backup failed", WARN),
    "unprotected": ("Unprotected", NOTICE),
    "backup_shrank": ("Backup shrank", NOTICE),
    "detached": ("Detached", NOTICE),
}
FINDINGS = words(_FINDINGS)
"""The words of the exporter's findings, worst first."""

FINDING_NAMES = {finding: name for finding, (name, _) in _FINDINGS.items()}
"""What a graph's legend calls a series that has a finding's name."""

FLAG = words({"0": ("no", None), "1": ("yes", None)})

_SHARES = ((1.0, WARN), (BUILT_IN_LIMITS.missed_share, BAD))
SHARE_OF_LIMIT = judged(GOOD, *_SHARES)
"""Thresholds for a backup's share of its limit: late from the limit on, missed from twice the limit on."""

SHARE_OF_LIMIT_CELL = judged(GOOD, *_SHARES, unknown="transparent")
"""The same where the colour fills a cell."""

SEVERITIES = {"critical": BAD, "warning": WARN, "info": NOTICE}
SEVERITY = words({name: (name, colour) for name, colour in SEVERITIES.items()})

HOUR, DAY = 3600, 86400
"""In graphs ages are counted in hours or days, and not in seconds, for round numbers at the axis."""


def thresholds(levels: Sequence[model.Threshold]) -> build.ThresholdsConfig:
    """Return the thresholds of a panel."""
    return build.ThresholdsConfig().mode(model.ThresholdsMode.ABSOLUTE).steps(list(levels))


def by_thresholds() -> build.FieldColor:
    """Return the colour mode in which values have the colour of their threshold."""
    return build.FieldColor().mode(model.FieldColorModeId.THRESHOLDS)


def setting(name: str, value: object) -> model.DynamicConfigValue:
    """Return the property of an override."""
    return model.DynamicConfigValue(id_val=name, value=value)


def threshold_setting(levels: Sequence[model.Threshold]) -> model.DynamicConfigValue:
    """Return the property of an override that sets thresholds."""
    return setting("thresholds", model.ThresholdsConfig(model.ThresholdsMode.ABSOLUTE, list(levels)))
