"""The metrics, the exposition, and the exporter's own counters.

It reads inventories and never sees the API; it knows nothing of HTTP beyond content types and gzip.
"""

from gigas_exporter.metrics.exposition import OPENMETRICS, TEXT, Exposition, MetricsRenderer
from gigas_exporter.metrics.telemetry import READ_OPERATIONS, Telemetry

__all__ = ["OPENMETRICS", "READ_OPERATIONS", "TEXT", "Exposition", "MetricsRenderer", "Telemetry"]
