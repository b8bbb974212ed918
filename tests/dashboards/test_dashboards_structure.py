"""The dashboards hang together: ids, layout, links, variables, and colours that everybody can tell apart."""

from __future__ import annotations

import itertools
import json
import re
import warnings
from collections.abc import Iterator
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins

from dashboards.conftest import Json, expressions_of, panels_of

with warnings.catch_warnings():  # the classic schema is meant: Grafana 10 and 11 know no other
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models.dashboard import Dashboard

BUILT_IN = {"__rate_interval", "__range", "__all", "__url_time_range", "__data"}
GENERIC = {"text", "transparent"}


def every(node: object, key: str) -> Iterator[Any]:
    """Yield the value of every ``key`` anywhere below."""
    if isinstance(node, dict):
        for name, value in node.items():
            if name == key:
                yield value
            yield from every(value, key)
    elif isinstance(node, list):
        for value in node:
            yield from every(value, key)


def left_out(given: object, kept: object, path: str) -> Iterator[str]:
    """Yield where ``given`` has something that ``kept`` lacks."""
    if isinstance(given, dict) and isinstance(kept, dict):
        for name, value in given.items():
            if name not in kept:
                yield f"{path}.{name}"
            else:
                yield from left_out(value, kept[name], f"{path}.{name}")
    elif isinstance(given, list) and isinstance(kept, list):
        if len(given) != len(kept):
            yield f"{path}: {len(given)} against {len(kept)}"
        for index, (one, other) in enumerate(zip(given, kept, strict=False)):
            yield from left_out(one, other, f"{path}[{index}]")
    elif given != kept and not (given is None and kept is None):
        yield f"{path}: {given!r} against {kept!r}"


def test_schema_knows_everything_that_is_written(dashboard: Json) -> None:
    """Read into the types made from Grafana's schema and written again, nothing of a dashboard is lost."""
    register_default_plugins()
    again = json.loads(JSONEncoder().encode(Dashboard.from_json(dashboard)))
    # The schema leaves to the plug-ins what an override sets and what a variable asks; `id: null` means new.
    lost = [path for path in left_out(dashboard, again, "") if path != ".id"]
    assert lost == []


def test_uids_are_the_names_that_links_and_alerts_use(dashboards: dict[str, Json]) -> None:
    """A dashboard's uid is its file's name, so that the addresses in alerts lead somewhere."""
    assert {name: dashboard["uid"] for name, dashboard in dashboards.items()} == {name: name for name in dashboards}
    assert len({dashboard["title"] for dashboard in dashboards.values()}) == len(dashboards)


def test_dashboards_load_by_file_provisioning(dashboard: Json) -> None:
    """There are no inputs to fill, no id of some database, and no schema that Grafana 10 does not know."""
    assert "__inputs" not in dashboard
    assert dashboard["id"] is None
    assert dashboard["schemaVersion"] == 39


def test_panels_have_unique_ids_and_do_not_overlap(dashboard: Json) -> None:
    """Each panel has a place of its own within the 24 columns."""
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = set(
            itertools.product(range(place["x"], place["x"] + place["w"]), range(place["y"], place["y"] + place["h"]))
        )
        assert not cells & taken, panel["title"]
        taken |= cells


def test_targets_have_unique_references(dashboard: Json) -> None:
    """Transformations tell queries apart by their reference."""
    for panel in panels_of(dashboard):
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references), panel["title"]


def test_variables_are_defined_and_used(dashboard: Json) -> None:
    """No query names a variable that is not there, and no drop-down is without effect."""
    defined = {variable["name"] for variable in dashboard["templating"]["list"]}
    text = json.dumps(dashboard)
    named = set(re.findall(r"\$\{?([A-Za-z_]\w*)", text))
    assert named - defined <= BUILT_IN
    for variable in defined:
        assert re.search(rf"\$\{{?{variable}\b", text), variable


def test_account_machine_and_disk_can_be_chosen_where_they_make_sense(dashboards: dict[str, Json]) -> None:
    """The drop-downs stand in the order in which one narrows the next."""
    chosen = {
        name: [variable["name"] for variable in dashboard["templating"]["list"]]
        for name, dashboard in dashboards.items()
    }
    common = ["datasource", "job", "instance", "account_id"]
    assert chosen == {
        "gigas-overview": common,
        "gigas-exporter": common,
        "gigas-backups": common,
        "gigas-disk": [*common, "virtual_machine", "disk_id"],
    }


def test_dashboards_lead_to_each_other_and_keep_time_and_choice(dashboard: Json) -> None:
    """One drop-down lists all dashboards with the common tag."""
    (link,) = dashboard["links"]
    assert link["type"] == "dashboards"
    assert link["asDropdown"]
    assert link["includeVars"]
    assert link["keepTime"]
    assert set(link["tags"]) <= set(dashboard["tags"])


def test_rows_about_disks_lead_to_the_disk(dashboard: Json, dashboards: dict[str, Json]) -> None:
    """Every table with a column of disk ids links to the disk's dashboard, with variables that it has."""
    there = {variable["name"] for variable in dashboards["gigas-disk"]["templating"]["list"]}
    for panel in panels_of(dashboard):
        if panel["type"] != "table" or "Disk ID" not in json.dumps(panel["transformations"]):
            continue
        set_by_overrides = [one for properties in every(panel, "properties") for one in properties]
        links = [link for one in set_by_overrides if one["id"] == "links" for link in one["value"]]
        assert links, panel["title"]
        for link in links:
            assert link["url"].startswith("/d/gigas-disk/?")
            assert set(re.findall(r"var-(\w+)=", link["url"])) <= there


def test_panels_say_what_they_show_and_what_no_data_means(dashboard: Json) -> None:
    """Each panel has a title, a description that is a sentence, and a text for 'nothing'."""
    for panel in panels_of(dashboard):
        assert panel["title"]
        assert panel["description"].endswith(".")
        assert panel["fieldConfig"]["defaults"]["noValue"]


def test_tables_are_bounded(dashboard: Json) -> None:
    """Whatever a table lists per disk is cut to the first few, but on the page of one disk."""
    for panel in panels_of(dashboard):
        if panel["type"] == "table":
            expression = panel["targets"][0]["expr"]
            assert re.search(r'(top|bottom)k\(|disk_id="\$disk_id"', expression), panel["title"]


def test_graphs_never_look_at_every_disk(dashboard: Json) -> None:
    """Over time only the chosen disk is read, or the exporter's sums of an account."""
    for panel in panels_of(dashboard):
        for target in panel["targets"]:
            if not target["instant"]:
                matchers = re.findall(r"(?<![\w:])gigas_disk_\w+\{(.*?)\}", target["expr"])
                assert all('disk_id="$disk_id"' in each for each in matchers), panel["title"]
                assert panel["maxDataPoints"] <= 500


def test_queries_are_such_as_a_person_writes(dashboard: Json) -> None:
    """No query is longer than about 300 characters, and no hidden variable holds one."""
    assert [each for each in expressions_of(dashboard, variables=True) if len(each) > 325] == []
    assert [each["name"] for each in dashboard["templating"]["list"] if each["hide"]] == []


def test_the_page_of_a_disk_names_it(dashboards: dict[str, Json]) -> None:
    """Exactly one disk is chosen, its page has its name in the titles, and every query about disks asks for it."""
    page = dashboards["gigas-disk"]
    (variable,) = [each for each in page["templating"]["list"] if each["name"] == "disk_id"]
    assert not variable["multi"]
    assert not variable["includeAll"]
    rows = [panel["title"] for panel in page["panels"] if panel["type"] == "row"]
    assert all(title.startswith("${disk_id:text}: ") for title in rows)
    for panel in panels_of(page):
        assert all('disk_id="$disk_id"' in target["expr"] for target in panel["targets"]), panel["title"]


def test_alerts_are_drawn_into_every_dashboard(dashboard: Json) -> None:
    """The firing alerts of this project are annotations."""
    (annotation,) = dashboard["annotations"]["list"]
    assert annotation["enable"]
    assert 'ALERTS{alertname=~"Gigas.' in annotation["expr"]
    assert annotation["expr"] == annotation["target"]["expr"]


def _seen_by(colour: str, vision: tuple[tuple[float, ...], ...]) -> tuple[float, ...]:
    """Return a colour as linear light, as somebody sees it."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return tuple(sum(weight * part for weight, part in zip(row, linear, strict=True)) for row in vision)


VISIONS = {  # Machado, Oliveira and Fernandes 2009, severity 1.0
    "usual": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


@pytest.fixture
def colours(dashboards: dict[str, Json]) -> list[str]:
    """Return the colours that mean something."""
    used = [colour for dashboard in dashboards.values() for colour in every(dashboard["panels"], "color")]
    return sorted({colour for colour in used if isinstance(colour, str)} - GENERIC)


@pytest.mark.parametrize("vision", VISIONS)
def test_colours_are_told_apart_with_any_colour_vision(vision: str, colours: list[str]) -> None:
    """The few colours that mean something differ, also for those who see fewer."""
    assert len(colours) == 4
    for one, other in itertools.combinations(colours, 2):
        seen = [_seen_by(colour, VISIONS[vision]) for colour in (one, other)]
        assert sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5 > 0.15, (one, other)


def _luminance(colour: str) -> float:
    red, green, blue = _seen_by(colour, VISIONS["usual"])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_can_be_read_on_every_colour(colours: list[str]) -> None:
    """Grafana writes black on what is brighter than 180 and white on the rest; either stands out from its cell."""
    for colour in colours:
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        text = "#202226" if 0.299 * red + 0.587 * green + 0.114 * blue > 180 else "#F7F8FA"
        darker, lighter = sorted((_luminance(colour), _luminance(text)))
        assert (lighter + 0.05) / (darker + 0.05) > 3.5, colour


def test_colour_never_stands_alone(dashboard: Json) -> None:
    """A cell or number that is coloured also says a word or a number, so that no mapping hides its text."""
    for mappings in every(dashboard["panels"], "mappings"):
        for mapping in mappings:
            assert all(every(mapping, "text")), mapping
