"""Prometheus exporter for the disks of the Gigas cloud."""

__version__ = "0.1.0"

REPOSITORY = "https://github.com/gigas-exporter/gigas-exporter"
"""Where runbooks and documentation are read; ``alerts/`` and ``deploy/`` write it out."""
