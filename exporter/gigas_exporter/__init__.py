"""Prometheus exporter for the disks of the Gigas cloud."""

__version__ = "0.1.0"

REPOSITORY = "https://github.com/gigas-exporter/gigas-exporter"
"""Links to runbooks and documentation begin with it; ``alerts/`` and ``deploy/`` hold copies."""
