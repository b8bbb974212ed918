"""Whatever the API answers: both expositions can be parsed, the status page is no one else's markup, nothing breaks."""

from __future__ import annotations

import json
import resource
import subprocess
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from support.programs import tool

MARK = "zqzq"
MARKUPS = (f"<{MARK}>", f'"><script>{MARK}</script>', f"' on{MARK}=1 '", f"{{{{ {MARK} }}}}", f"</td><img src={MARK}>")
FIELDS = [
    "id",
    "virtual_machine_id",
    "disk_size",
    "status",
    "error",
    "locked",
    "is_swap",
    "autobackup",
    "mount_point",
    "data_store_id",
    "updated_at",
    "data_store_group_id",
    "created_at",
    "date_created",
    "backup_size",
    "disk_id",
    "label",
    "hostname",
    "type",
    "initial_password",
]
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.sampled_from(MARKUPS),
    st.sampled_from(["\n", "\\", '"', "\\n", '\\"', "\r\n# TYPE x gauge\nx 1", "\x00", "\u2028", "é" * 300, "\ud83d"]),
    st.just("x" * 100_000),
)
NUMBER = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, -(10**400), 2**63, 1e308, 1706704200, 1706704200000]),
)
SCALAR = st.one_of(st.none(), st.booleans(), NUMBER, TEXT, st.just("2024-01-31T12:30:00Z"))
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ITEM = st.one_of(
    VALUE, *[st.fixed_dictionaries({"id": st.integers(1, 9) | TEXT}, optional=dict.fromkeys(FIELDS[1:], VALUE))] * 5
)
ARRAY = st.lists(ITEM, max_size=6).map(lambda items: json.dumps(items).encode())
RAW = st.sampled_from(
    [
        b"",
        b"null",
        b"{}",
        b"[",
        b"[" * 100_000,
        b"[" * 50_000 + b"]" * 50_000,
        b'{"a":' * 20_000,
        b"<html>",
        b"\xff\xfe",
        b'[{"id":1,"mount_point":"\xff"}]',
        b'[{"id":1e999}]',
        b"[" + b"9" * 5000 + b"]",
        b'[{"id":1}' + b",{}" * 9999 + b"]",
    ]
)


def spoil(body: bytes, at: int, junk: bytes) -> bytes:
    """Put junk somewhere into a body."""
    place = at % (len(body) + 1)
    return body[:place] + junk + body[place:]


BODY = st.one_of(
    *[ARRAY] * 8,
    RAW,
    VALUE.map(lambda value: json.dumps(value).encode()),
    st.builds(spoil, ARRAY, st.integers(0), st.binary(max_size=3)),
)
QUIET = settings(deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)


class Markup(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(name for name, _ in attrs)

    @classmethod
    def of(cls, html: str) -> Markup:
        """Read a page."""
        markup = cls()
        markup.feed(html)
        markup.close()
        return markup


parse_openmetrics: Any = openmetrics_parser.text_string_to_metric_families  # it has no types


def assert_presentable(polled: Any) -> str:
    """What is served of the present data can be read by those who read it; return the text."""
    text: str = polled.exposition(openmetrics=False)
    for family in parse_text(text):
        for sample in family.samples:
            assert all(len(value) <= 300 for value in sample.labels.values())
    families = list(parse_openmetrics(polled.exposition(openmetrics=True)))
    assert any(family.name == "gigas_exporter_build" or "build_info" in family.name for family in families)
    html = polled.status()
    markup = Markup.of(html)
    assert not markup.tags & {MARK, "script", "img"}
    assert not [name for name in markup.attributes if name.startswith("on")]
    assert f"<{MARK}" not in html
    return text


def shown_disks(text: str) -> dict[str, str]:
    """Return the mount points of the disks of an exposition, by disk id."""
    return {
        sample.labels["disk_id"]: sample.labels["mount_point"]
        for family in parse_text(text)
        for sample in family.samples
        if sample.name == "gigas_disk_info"
    }


@given(data=st.data())
@settings(QUIET)
def test_any_answers_can_be_shown(polled: Any, api: Any, data: st.DataObject) -> None:
    """Disks, machines and backups of any JSON, or of none: 250 clouds and their pages."""
    api.bodies = {name: data.draw(BODY, label=name) for name in ("disks", "virtual_machine", "backups")}
    polled.poll()
    text = assert_presentable(polled)
    assert "canary" not in text
    (inventory,) = polled.store.snapshot()
    assert shown_disks(text).keys() == (inventory.disks.disks.keys() if inventory.disks is not None else set())


@given(texts=st.lists(TEXT, min_size=1, max_size=5))
@settings(QUIET)
def test_texts_read_back_as_they_were(polled: Any, api: Any, texts: list[str]) -> None:
    """What a text in the API was is what a label reads back as, but for its length and halves of characters."""
    items = [{"id": number, "mount_point": text} for number, text in enumerate(texts)]
    api.bodies = {"disks": json.dumps(items).encode()}
    assert polled.poll()["disks"]
    shown = shown_disks(polled.exposition(openmetrics=False))
    joined = [json.loads(json.dumps(text)) for text in texts]
    expected = {
        str(number): text[:256].encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        for number, text in enumerate(joined)
    }
    plain = {
        key: "" if text.isspace() else text
        for key, text in expected.items()
        if "\ufffd" not in text and "\r" not in text
    }
    assert {key: shown[key] for key in plain} == plain
    assert shown.keys() == expected.keys()


def test_promtool_accepts_what_is_made_of_hostile_texts(polled: Any, api: Any) -> None:
    """Prometheus' own checker reads pages whose labels are all markup, quotes, newlines and broken characters."""
    path = tool("promtool")
    texts = [*MARKUPS, '"\\\n', "\x00", "\u2028", "é" * 300, "\ud83d", "\r\nx 1"]
    items = [{"id": number, "mount_point": text, "status": text, "disk_size": 1} for number, text in enumerate(texts)]
    api.bodies = {"disks": json.dumps(items).encode(), "virtual_machine": json.dumps(items).encode()}
    assert polled.poll()["disks"]
    text = assert_presentable(polled)
    done = subprocess.run([path, "check", "metrics"], input=text.encode(), capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("item", [b"{}", b"0", b'{"id":7}', b"[[[[[]]]]]"])
def test_very_many_items_take_bounded_memory(polled: Any, api: Any, item: bytes) -> None:
    """They are read, counted and shown for what they are, and do not take more than a few hundred megabytes."""
    count = 1_000_000 if len(item) < 5 else 100_000
    api.bodies = {"disks": b"[" + b",".join([item] * count) + b"]"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    polled.poll()
    assert "gigas_up" in polled.exposition(openmetrics=False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 * 1024
