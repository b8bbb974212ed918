"""The baseline in Python: a collector that yields every series to prometheus-client at each scrape.

``python client_python_exporter.py PORT SERIES`` serves a file of series, with one JSON value per line: an object starts
a family (``name``, ``help``, ``labels``), an array is a series (its value, then the values of its labels).
"""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector


class _Family(NamedTuple):
    name: str
    text: str
    labels: list[str]
    series: list[tuple[list[str], float]]


class _Inventory(Collector):
    """The data that an exporter would keep in memory; the metrics are created at each scrape."""

    def __init__(self, path: Path) -> None:
        self._families: list[_Family] = []
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                read = json.loads(line)
                if isinstance(read, dict):
                    self._families.append(_Family(read["name"], read["help"], read["labels"], []))
                else:
                    value, *labels = read
                    self._families[-1].series.append((labels, value))

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for family in self._families:
            metric = GaugeMetricFamily(family.name, family.text, labels=family.labels)
            for labels, value in family.series:
                metric.add_metric(labels, value)
            yield metric


if __name__ == "__main__":
    registry = CollectorRegistry()
    registry.register(_Inventory(Path(sys.argv[2])))
    start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
    threading.Event().wait()
