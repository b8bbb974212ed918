"""Report how long the dashboards' queries take over a large fleet: no test, for its numbers depend on the machine.

    python tests/dashboards/measure_queries.py URL_OF_A_PROMETHEUS [--end TIME] [--scrape SECONDS] [--answers FILE]

docs/dashboards.md says how to fill a Prometheus with a large fleet's past. Each query of panels, annotations and
variables is asked as Grafana would ask it, with everything chosen; of three tries the best counts. What a panel takes
is the sum over its queries. Beside the time stands the processor time, which depends less on what else the machine
does. ``--answers`` keeps what was answered, for drawing it.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import requests

DASHBOARDS = Path(__file__).resolve().parents[2] / "dashboards"
HOURS = {"now-24h": 24, "now-7d": 24 * 7}
SHOWN = 10
TRIES = 3


Ask = Callable[[str, dict[str, str | float]], list[dict[str, Any]]]
Answers = dict[str, dict[str, Any]]
"""By dashboard: the range, and the series by panel id and reference."""


def filled(text: str, values: dict[str, str]) -> str:
    """Return a query with the variables' values."""
    return re.sub(r"\$(\w+)", lambda name: values.get(name[1], name[0]), text)


def processor_seconds(session: requests.Session, url: str) -> float:
    """Return the processor time that Prometheus has used so far."""
    page = session.get(f"{url}/metrics", timeout=30).text
    return float(re.findall(r"^process_cpu_seconds_total (\S+)$", page, re.MULTILINE)[0])


def ask_variables(dashboard: dict[str, Any], values: dict[str, str], end: float, ask: Ask) -> None:
    """Ask for all variables, and choose the first disk where exactly one is chosen."""
    for variable in dashboard["templating"]["list"]:
        if variable["type"] != "query" or variable["query"]["query"].startswith("label_values("):
            continue
        inner = variable["query"]["query"].removeprefix("query_result(").removesuffix(")")
        name = f"{dashboard['uid']}: variable {variable['name']}"
        found = ask(name, {"query": filled(inner, values), "time": end})
        if not variable["multi"]:
            values[variable["name"]] = found[0]["metric"][variable["name"]]


def queries(end: float, scrape: float, ask: Ask) -> Answers:
    """Ask everything that the dashboards ask."""
    answers: Answers = {}
    for file in sorted(DASHBOARDS.glob("*.json")):
        dashboard = json.loads(file.read_text(encoding="utf-8"))
        hours = HOURS[dashboard["time"]["from"]]
        shown = [each for each in dashboard["templating"]["list"] if each["type"] == "query" and each["multi"]]
        values = {each["name"]: each["allValue"] for each in shown} | {"__range": f"{hours}h"}
        ask_variables(dashboard, values, end, ask)
        results: dict[int, dict[str, Any]] = {}
        for annotation in dashboard["annotations"]["list"]:
            text = filled(annotation["expr"], values)
            ask(f"{file.stem}: annotation", {"query": text, "start": end - hours * 3600, "end": end, "step": hours * 3})
        answers[file.stem] = {"from": end - hours * 3600, "to": end, "results": results}
        for panel in dashboard["panels"]:
            # A panel half the page wide has about 700 points, unless it says otherwise.
            step = max(60, hours * 3600 / panel.get("maxDataPoints", 700))
            values["__rate_interval"] = f"{max(4 * scrape, step + scrape):.0f}s"
            for target in panel.get("targets", []):
                name = f"{file.stem}: {panel['title']}"
                times = {"time": end} if target["instant"] else {"start": end - hours * 3600, "end": end, "step": step}
                found = ask(name, {"query": filled(target["expr"], values), **times})
                results.setdefault(panel["id"], {})[target["refId"]] = found
    return answers


def main() -> None:
    """Ask everything and print the slowest."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("url")
    arguments.add_argument("--end", type=float, default=time.time())
    arguments.add_argument("--scrape", type=float, default=60, help="seconds between samples")
    arguments.add_argument("--answers", type=Path)
    chosen = arguments.parse_args()
    taken: dict[str, list[tuple[float, float, int]]] = {}
    with requests.Session() as session:

        def ask(name: str, parameters: dict[str, str | float]) -> list[dict[str, Any]]:
            best = least = float("inf")
            for _ in range(TRIES):
                used, began = processor_seconds(session, chosen.url), time.monotonic()
                path = "query" if "time" in parameters else "query_range"
                answer = session.post(f"{chosen.url}/api/v1/{path}", data=parameters, timeout=120).json()
                best = min(best, time.monotonic() - began)
                least = min(least, processor_seconds(session, chosen.url) - used)
                if answer["status"] != "success":
                    raise SystemExit(f"{name}: {answer['error']}")
            found: list[dict[str, Any]] = answer["data"]["result"]
            taken.setdefault(name, []).append((best, least, len(found)))
            return found

        answers = queries(chosen.end, chosen.scrape, ask)
    if chosen.answers:
        chosen.answers.write_text(json.dumps(answers), encoding="utf-8")
    sums = [(sum(each[1] for each in own), sum(each[0] for each in own), len(own), name) for name, own in taken.items()]
    for processor, seconds, queries_, name in sorted(sums, reverse=True)[:SHOWN]:
        print(f"{processor:6.2f} s CPU  {seconds:6.2f} s  {queries_} queries  {name}")  # noqa: T201 - it is what it is for
    most = max(series for own in taken.values() for *_, series in own)
    print(f"{len(taken)} panels, variables and annotations, the most series: {most}")  # noqa: T201


if __name__ == "__main__":
    main()
