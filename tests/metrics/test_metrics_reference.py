"""The definitions themselves, and the documentation that is made from them."""

from __future__ import annotations

import pytest

from gigas_exporter.metrics import exporter_families, families
from gigas_exporter.metrics.families import FAMILIES
from gigas_exporter.metrics.family import Family


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_definition_keeps_to_the_rules(family: Family) -> None:
    """Help is a sentence that both formats write alike; counters, and only they, end in _total."""
    assert family.help.endswith(".")
    assert not set(family.help) & set('"\\\n')
    assert (family.type == "counter") == family.name.endswith("_total")
    assert len(set(family.labels)) == len(family.labels)
    assert family.source


def test_every_definition_is_in_the_list_once() -> None:
    """No metric is defined and then forgotten, or defined twice."""
    names = [family.name for family in FAMILIES]
    assert len(set(names)) == len(names)
    defined = {**vars(families), **vars(exporter_families)}
    groups = [value for name, value in defined.items() if name.endswith("_FAMILIES")]
    single = [value for value in defined.values() if isinstance(value, Family)]
    assert {family.name for group in groups for family in group} | {family.name for family in single} == set(names)


def test_polled_metrics_say_so() -> None:
    """The help of what comes from the API says that it is as old as the last poll."""
    polled = [family for family in FAMILIES if family.name.startswith(("gigas_disk", "gigas_virtual", "gigas_up"))]
    assert polled
    assert all("exporter's own last poll" in family.help for family in polled)
