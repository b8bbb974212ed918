"""The generator of the Grafana dashboards: `python -m dashboards.generate`, run from the root of the source tree.

It owns what the dashboards ask, show and look like. It is no part of the installed package, which carries the JSON.
"""
