"""Prometheus exporter and monitoring agent for the disks of the Gigas cloud."""

__version__ = "0.1.0"
