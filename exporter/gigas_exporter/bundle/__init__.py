"""Writing out what ships with the exporter: alert rules and dashboards."""
