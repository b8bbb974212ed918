"""Which representation a client gets, by the headers that real clients send."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigas_exporter.web.routes import wants_gzip, wants_openmetrics

_PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,"
    "application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,"
    "*/*;q=0.1"
)
_PROMETHEUS_2_49 = (
    "application/openmetrics-text;version=1.0.0;q=0.75,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=0.0.4;q=0.25,"
    "*/*;q=0.1"
)
_PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,"
    "*/*;q=0.2"
)
_PROMETHEUS_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,"
    "application/openmetrics-text;version=1.0.0;q=0.5,"
    "application/openmetrics-text;version=0.0.1;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,"
    "*/*;q=0.2"
)
_FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        (_PROMETHEUS_2_42, True),
        (_PROMETHEUS_2_49, True),
        (_PROMETHEUS_3, True),
        (_PROMETHEUS_PROTOBUF, True),
        (_FIREFOX, False),
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("Application/OpenMetrics-Text; Version=1.0.0; charset=utf-8", True),
        ('application/openmetrics-text; version="1.0.0"', True),
        ("application/openmetrics-text;version=2.0.0", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=0.4,text/plain;q=0.5", False),
        ("text/plain;version=0.0.4;q=0.5,application/openmetrics-text;version=1.0.0;q=0.5", True),
        ("application/openmetrics-text;q=0.4,text/*", False),
        ("application/openmetrics-text;q=0.4,text/plain;version=9", True),
        ("application/openmetrics-text;q=x,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=nan,text/plain;q=0.5", False),
        ("application/openmetrics-text;q=7", True),
    ],
)
def test_the_preferred_format_is_chosen(accept: str, openmetrics: bool) -> None:
    """OpenMetrics goes to those who name it and do not prefer text."""
    assert wants_openmetrics(accept) is openmetrics


@pytest.mark.parametrize(
    ("accept_encoding", "gzip"),
    [
        ("gzip", True),
        ("gzip, deflate, br, zstd", True),
        ("identity;q=1, GZIP;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("identity, gzip;q=zero", True),
    ],
)
def test_gzip_goes_to_those_who_allow_it(accept_encoding: str, gzip: bool) -> None:
    """A weight of 0 forbids gzip, and no header asks for nothing."""
    assert wants_gzip(accept_encoding) is gzip


@given(st.text(alphabet='aq=;,*/ .0159x-gzip"', max_size=60))
def test_any_header_is_answered(header: str) -> None:
    """Whatever a client sends, there is an answer."""
    assert wants_gzip(header) in {True, False}
    assert wants_openmetrics(header) in {True, False}
