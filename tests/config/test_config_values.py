"""Addresses and URLs are read as people write them."""

from __future__ import annotations

import pytest

from gigas_exporter.config.parsers import is_loopback, parse_base_url, parse_listen_address, parse_proxy_url


@pytest.mark.parametrize(
    ("text", "address"),
    [
        (":10063", ("", 10063)),
        ("127.0.0.1:10063", ("127.0.0.1", 10063)),
        ("0.0.0.0:0", ("0.0.0.0", 0)),
        ("[::1]:10063", ("::1", 10063)),
        ("[::]:10063", ("::", 10063)),
        ("localhost:65535", ("localhost", 65535)),
        ("exporter-1.example.com:80", ("exporter-1.example.com", 80)),
    ],
)
def test_a_listen_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    """The forms of Prometheus; an empty host stands for all addresses."""
    assert parse_listen_address(text) == address


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.gigas.com", "https://api.gigas.com"),
        ("https://api.gigas.com/", "https://api.gigas.com"),
        ("https://api.gigas.com:8443/v1/", "https://api.gigas.com:8443/v1"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
    ],
)
def test_an_api_url_loses_its_last_slash(text: str, url: str) -> None:
    """Paths are put after it as they are."""
    assert parse_base_url(text, "https://api.gigas.com") == url


def test_a_proxy_url_is_host_and_port() -> None:
    """A last slash is no path."""
    assert parse_proxy_url("http://proxy.example:3128/") == "http://proxy.example:3128"


@pytest.mark.parametrize("text", ["https://[::1", "https://a:b", "https://a:0", "https://-a", "https://[v1.x]"])
def test_what_is_no_url_is_refused(text: str) -> None:
    """Whatever the library says about it, a ValueError leaves, without the URL."""
    with pytest.raises(ValueError, match=r"must be a URL|must name a host") as caught:
        parse_base_url(text, "https://api.gigas.com")
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "loopback"),
    [
        ("http://localhost:1", True),
        ("http://LOCALHOST.", True),
        ("http://127.8.9.1", True),
        ("http://[::1]/x", True),
        ("http://10.0.0.1", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
    ],
)
def test_loopback_is_told_by_the_host(url: str, loopback: bool) -> None:
    """Only what certainly stays on the machine is loopback."""
    assert is_loopback(url) is loopback
