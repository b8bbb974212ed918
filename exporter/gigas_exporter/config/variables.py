"""Environment variables that look like settings and are none."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from gigas_exporter.config.accounts import CredentialSection
from gigas_exporter.config.field_types import env_var_for_key
from gigas_exporter.config.flags import FLAGS
from gigas_exporter.formatting import nearest

ACCOUNT_ID: Final = "GIGAS_ACCOUNT_ID"
ACCOUNT_VARIABLES: Final = (ACCOUNT_ID, *map(env_var_for_key, CredentialSection.model_fields))
"""The environment variables that name the one account of a set-up without accounts in a file."""

_PREFIX: Final = "GIGAS_"
_KNOWN: Final = frozenset({*ACCOUNT_VARIABLES, *(flag.env for flag in FLAGS)})
_OF_A_COMMAND: Final = re.compile(
    r"GIGAS_(ALERTS|CHECK|COLLECT|CONFIG_CHECK|DASHBOARDS|DEMO|DISKS_[A-Z]+|SIMULATE)_[A-Z]"
)
_OF_A_KUBERNETES_SERVICE: Final = re.compile(r".*_(SERVICE_HOST|SERVICE_PORT(_.*)?|PORT_\d+_(TCP|UDP|SCTP)(_.*)?)")
_LINK: Final = re.compile(r"(tcp|udp|sctp)://")
_SIMILAR: Final = 0.7


def unknown_variables(
    environ: Mapping[str, str], known: Collection[str] = _KNOWN, prefix: str = _PREFIX
) -> Iterator[str]:
    """Yield a warning for each variable that may be misspelt.

    No value is shown. Options of other commands, and what Kubernetes sets for services with such a name, are none.
    """
    endings = [name.removeprefix(prefix) for name in sorted(known)]
    for name in sorted(environ):
        is_elsewhere = prefix == _PREFIX and _OF_A_COMMAND.match(name)
        is_link = name.endswith("_PORT") and _LINK.match(environ[name])
        is_ours = name.startswith(prefix) and name not in known and environ[name].strip()
        if is_ours and not is_elsewhere and not is_link and not _OF_A_KUBERNETES_SERVICE.fullmatch(name):
            near = nearest(name.removeprefix(prefix), endings, _SIMILAR)
            hint = "" if near is None else f"; did you mean {prefix}{near}?"
            yield f"environment variable {name} is not known{hint}"
