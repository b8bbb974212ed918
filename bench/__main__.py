"""Measure the exporter, and compare it with targets and with other implementations.

``make bench`` prints a table and writes ``build/bench.json``. A trial run: ``make bench ARGS="--quick --sizes 1000"``.
Everything runs on this machine over loopback, the exporter and the simulated API as separate processes.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from baselines import build_go, measure_baselines, write_series
from findings import measure_findings
from measures import (
    measure_crowds,
    measure_idleness,
    measure_latency,
    measure_polls,
    measure_scrapes,
    measure_starts,
    measure_under_polls,
)
from processes import describe_machine
from processes_under_test import Cloud, Exporter
from results import Figure, exponent, overview, table
from sampling import FULL, QUICK, TARGETS, Sampling

_SIZES = "1000,10000,100000"
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"
_GROWING = {
    "scrape, gzip, text": "scrape",
    "poll from nothing, processor time": "poll",
    "resident memory": "memory",
}


def main() -> int:
    """Run the measurements and return 0; a missed target is reported, but is not a failure."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that started programs are stopped
    options.output.parent.mkdir(parents=True, exist_ok=True)
    directory = options.output.parent / "bench"
    directory.mkdir(exist_ok=True)
    began = time.monotonic()
    machine = describe_machine()
    go = "--without-go was given" if options.without_go else build_go(directory)
    figures: list[Figure] = []
    facts: dict[str, object] = {}
    for disks in options.sizes:
        figures += _measure(disks, QUICK if options.quick else FULL.for_size(disks), directory, go, facts)
    figures += _growth(figures)
    content = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "worlds": facts,
        "go": go if isinstance(go, str) else "measured",
        "seconds": round(time.monotonic() - began),
        "figures": [figure.as_json() for figure in figures],
    }
    options.output.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    print(_report(figures, machine, facts, go, time.monotonic() - began))
    print(f"\nwritten to {options.output}")
    if options.docs is not None:
        _quote(options.docs, figures, {**machine, "samples": "few samples" if options.quick else "all samples"})
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=_sizes, default=_sizes(_SIZES), help=f"numbers of disks (default: {_SIZES})")
    parser.add_argument("--quick", action="store_true", help="few samples, for a trial run")
    parser.add_argument("--without-go", action="store_true", help="do not compare with Go's client library")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"), help="default: %(default)s")
    parser.add_argument("--docs", type=Path, metavar="PAGE", help=f"write the figures into a page, at {_BEGIN}")
    return parser.parse_args()


def _sizes(text: str) -> list[int]:
    return sorted({int(part) for part in text.split(",")})


def _measure(disks: int, sampling: Sampling, directory: Path, go: Path | str, facts: dict[str, object]) -> list[Figure]:
    """Measure everything with one number of disks."""
    figures: list[Figure] = []

    def note(found: Iterable[Figure]) -> None:
        for figure in found:
            figures.append(figure)
            print(f"{disks:>7,} disks: {figure.work}: {figure.value:.4g} {figure.unit}", file=sys.stderr, flush=True)

    with Cloud(disks, directory) as cloud:
        note(measure_starts(cloud, directory, sampling))
        note(measure_polls(cloud, directory, sampling))
        note(measure_findings(cloud, sampling))
        with Exporter(cloud, directory) as exporter:
            exporter.await_polled(cloud)
            watch: tuple[Callable[[Cloud, Exporter, Sampling], list[Figure]], ...]
            watch = (measure_scrapes, measure_crowds, measure_idleness)
            for measure in watch:
                note(measure(cloud, exporter, sampling))
            series = write_series(exporter.page(), directory / "series.jsonl")
            facts[str(disks)] = {**cloud.counts, "series": series.count}
        if disks <= min(TARGETS["sweep"]):
            note(measure_latency(cloud, directory, sampling))
        note(measure_under_polls(cloud, directory, sampling))
    ours = next(figure.value for figure in figures if figure.work == "scrape, gzip, text")
    note(measure_baselines(disks, series, ours, directory, go=go, sampling=sampling))
    return figures


def _growth(figures: list[Figure]) -> list[Figure]:
    growth = []
    for work, name in _GROWING.items():
        costs = {figure.disks: figure.value for figure in figures if figure.work == work}
        if len(costs) > 1:
            title = f"growth of {name} from {min(costs):,} to {max(costs):,} disks, exponent"
            growth.append(Figure(title, 0, "exponent", exponent(costs), (), TARGETS["exponent"][0]))
    return growth


def _quote(page: Path, figures: list[Figure], machine: dict[str, str | int]) -> None:
    """Replace the figures in a page, and the description of their machine, with those of this run."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    if not after:
        raise SystemExit(f"{page} has no {_BEGIN} with an {_END}")
    growth = "; ".join(f"{figure.work}: {figure.value:.2f}" for figure in figures if figure.unit == "exponent")
    where = (
        f"On {machine['cores']} cores of {machine['processor']} with {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}, the load being {machine['load_1min']} when it began, "
        f"{machine['samples']}:"
    )
    quoted = "\n\n".join([_BEGIN, where, overview(_in_order(figures)), *([f"{growth}."] if growth else []), _END])
    page.write_text(before + quoted + after, encoding="utf-8")


def _in_order(figures: list[Figure]) -> list[Figure]:
    """Group the figures by work."""
    works = list(dict.fromkeys(figure.work for figure in figures))
    return sorted(figures, key=lambda figure: works.index(figure.work))


def _report(
    figures: list[Figure], machine: dict[str, str | int], facts: dict[str, object], go: Path | str, seconds: float
) -> str:
    ordered = _in_order(figures)
    missed = [f"{figure.work} ({figure.disks:,} disks)" for figure in ordered if figure.met is False]
    lines = [
        "",
        ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in machine.items()),
        *(f"cloud of {disks} disks: {fact}" for disks, fact in facts.items()),
        "",
        table(ordered),
        "",
        overview(ordered),
        "",
        *([f"not compared with Go's client library: {go}"] if isinstance(go, str) else []),
        f"missed: {', '.join(missed) or 'nothing'}; it took {seconds:.0f} s",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
