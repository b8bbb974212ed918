"""The status page: the fleet at a glance, for whoever has no Grafana at hand. It serves nothing by itself."""

from gigas_exporter.statuspage.handler import StatusPageHandler
from gigas_exporter.statuspage.page import StatusPage

__all__ = ["StatusPage", "StatusPageHandler"]
