"""Whatever the API answers: both expositions can be parsed, the status page is no one else's markup, nothing breaks."""

from __future__ import annotations

import json
import logging
import math
import resource
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as openmetrics_parser
from prometheus_client.parser import text_string_to_metric_families as parse_text

from gigas_exporter.clock import StopEvent, SystemClock
from gigas_exporter.config import AccountSettings, PollSettings, Settings
from gigas_exporter.decode import (
    Decoder,
    decode_array,
    decode_items,
)
from gigas_exporter.errors import DecodeError
from gigas_exporter.gigas import ApiSettings
from gigas_exporter.inventory import RESOURCES
from gigas_exporter.metrics import MetricsRenderer, Telemetry
from gigas_exporter.model import Account
from gigas_exporter.poller.service import Service
from gigas_exporter.poller.store import Store
from gigas_exporter.statuspage import StatusPage
from gigas_exporter.statuspage.query import Query
from support.polling import api_key
from support.programs import run_program, tool
from support.scripted_api import Seen
from support.small_api import Answer, SmallApi

_DECODER = Decoder()
decode_disk = _DECODER.disk
decode_backup = _DECODER.backup
decode_virtual_machine = _DECODER.virtual_machine
decode_account = _DECODER.account

ACCOUNT = "1"
MARK = "zqzq"
MARKUPS = (f"<{MARK}>", f'"><script>{MARK}</script>', f"' on{MARK}=1 '", f"{{{{ {MARK} }}}}", f"</td><img src={MARK}>")
FIELDS = (
    *("virtual_machine_id", "disk_size", "status", "error", "locked", "is_swap", "autobackup", "mount_point", "type"),
    *("data_store_id", "updated_at", "data_store_group_id", "created_at", "date_created", "backup_size", "disk_id"),
    *("label", "hostname", "domain", "initial_password"),
)
TEXT = st.one_of(
    st.text(st.characters(exclude_categories=()), max_size=20),
    st.sampled_from(MARKUPS),
    st.sampled_from(["\n", "\\", '"', "\\n", '\\"', "\r\n# TYPE x gauge\nx 1", "\x00", "\u2028", "é" * 300, "\ud83d"]),
    st.just("x" * 100_000),
)
NUMBER = st.one_of(
    *(st.integers(-3, 3), st.integers(), st.floats(), st.integers(10**8, 10**13)),
    st.sampled_from([10**400, -(10**400), 2**63, 1e308, 1706704200, 1706704200000]),
)
DATE = st.one_of(
    *(st.just("2024-01-31T12:30:00Z"), st.datetimes().map(str), st.datetimes().map(lambda at: at.isoformat() + "Z")),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.+Z-]{5,20}", fullmatch=True),
)
SCALAR = st.one_of(st.none(), st.booleans(), NUMBER, TEXT, DATE)
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=6
)
ITEM = st.one_of(
    VALUE, *[st.fixed_dictionaries({"id": st.integers(1, 9) | TEXT}, optional=dict.fromkeys(FIELDS, VALUE))] * 5
)
ARRAY = st.lists(ITEM, max_size=6).map(lambda items: json.dumps(items).encode())
RAW = st.sampled_from(
    [
        *(b"", b"null", b"{}", b"[", b"[" * 100_000, b"[" * 50_000 + b"]" * 50_000, b'{"a":' * 20_000, b"<html>"),
        *(b"\xff\xfe", b'[{"id":1,"mount_point":"\xff"}]', b'[{"id":1e999}]', b"[" + b"9" * 5000 + b"]"),
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


class HostileApi(SmallApi):
    """Answers by the last word of the path, whatever the offset is.

    Attributes:
        bodies: What is answered, as ``disks``, ``backups`` and ``virtual_machine``.
    """

    def __init__(self) -> None:
        self.bodies: dict[str, bytes] = {}
        super().__init__()

    def respond(self, seen: Seen) -> Answer:
        """Return the body of the list."""
        name = seen.path.rpartition("/")[2]
        return 200, next((body for known, body in self.bodies.items() if known in name), b"[]"), {}


class Exporter:
    """Client, poller, page and status page, without a schedule: it polls when it is told to."""

    def __init__(self, url: str) -> None:
        settings = Settings(
            accounts=(AccountSettings(Account(ACCOUNT), api_key("a-key")),),
            api=ApiSettings(url=url, timeout_seconds=20.0, max_requests_per_second=0.0),
            poll=PollSettings(interval=60.0, backups_interval=60.0),
        )
        clock, telemetry, self.store = SystemClock(), Telemetry(), Store()
        self.page = MetricsRenderer(self.store, telemetry, clock)
        self.status_page = StatusPage(self.store, clock, telemetry_path="/metrics")
        self.store.subscribe(self.page.refresh)
        self.service = Service(settings, self.store, telemetry, clock=clock)
        self.service._update_store({ACCOUNT: settings.accounts[0]})
        self._poller = self.service._poller(settings.accounts[0], StopEvent())

    def poll(self) -> dict[str, bool]:
        """Poll everything once; by resource, whether it went well. No failure is a defect."""
        failures = {resource: self._poller.poll(resource).failure for resource in ("disks", *RESOURCES[1:])}
        assert not [each for each in failures.values() if str(each).startswith("unexpected")]
        return {resource: failure is None for resource, failure in failures.items()}

    def exposition(self, *, openmetrics: bool) -> str:
        """The page."""
        return b"".join(self.page.render(openmetrics=openmetrics, gzip=False).chunks).decode("utf-8")

    def status(self) -> str:
        """The status page with all of its disks' first rows, and the pages of the first disks."""
        (inventory,) = self.store.snapshot()
        disks = list(inventory.disks.disks)[:3] if inventory.disks is not None else []
        queries = (Query(), *(Query(account=ACCOUNT, disk=disk_id) for disk_id in disks))
        return "".join(self.status_page.render(query)[1].decode("utf-8") for query in queries)


@pytest.fixture(scope="module", autouse=True)
def silent() -> Iterator[None]:
    """Thousands of lines about values that are no values help nobody."""
    logger = logging.getLogger("gigas_exporter")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(before)


@pytest.fixture(scope="module")
def api() -> Iterator[HostileApi]:
    """The hostile API."""
    with HostileApi() as server:
        yield server


@pytest.fixture(scope="module")
def polled(api: HostileApi) -> Iterator[Exporter]:
    """The exporter of that API."""
    exporter = Exporter(api.url)
    yield exporter
    exporter.service.stop()


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


def assert_decoded(body: bytes) -> None:
    """Any body becomes items with a usable id, finite numbers and text that UTF-8 can hold, or an error of one line."""
    for decode in (decode_disk, decode_backup, decode_virtual_machine, decode_account):
        invalid: Counter[str] = Counter()
        try:
            raw = decode_array(body, "x")
        except DecodeError as error:
            assert "\n" not in str(error)  # noqa: PT017  # either way out is right
            return
        items: Any = decode_items(raw, decode, invalid)
        assert len(items) + invalid["id"] <= len(raw)
        for identity, item in items.items():
            assert identity == item.id != ""
            values = [getattr(item, name) for name in item.__slots__]
            assert all(len(value.encode()) <= 4 * 256 for value in values if isinstance(value, str))
            numbers = [value for value in values if isinstance(value, int | float)]
            assert all(math.isfinite(number) and number >= 0 for number in numbers)


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
    for body in api.bodies.values():
        assert_decoded(body)
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
    texts = [*MARKUPS, '"\\\n', "\x00", "\u2028", "é" * 300, "\ud83d", "\r\nx 1"]
    items = [{"id": number, "mount_point": text, "status": text, "disk_size": 1} for number, text in enumerate(texts)]
    api.bodies = {"disks": json.dumps(items).encode(), "virtual_machine": json.dumps(items).encode()}
    assert polled.poll()["disks"]
    text = assert_presentable(polled)
    assert run_program(tool("promtool"), "check", "metrics", input=text).stderr == ""


@pytest.mark.parametrize("item", [b"{}", b"0", b'{"id":7}', b"[[[[[]]]]]"])
def test_very_many_items_take_bounded_memory(polled: Any, api: Any, item: bytes) -> None:
    """They are read, counted and shown for what they are, and do not take more than a few hundred megabytes."""
    count = 1_000_000 if len(item) < 5 else 100_000
    api.bodies = {"disks": b"[" + b",".join([item] * count) + b"]"}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    polled.poll()
    assert "gigas_up" in polled.exposition(openmetrics=False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 700 * 1024
