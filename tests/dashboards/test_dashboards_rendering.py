"""What readers see: Grafana's own data library shows the results of real queries.

It transforms, names, formats, maps and colours as Grafana does; `render.cjs` only hands it the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

from dashboards.conftest import ALL, NAMES, Json, Prometheus, panel_of, panels_of
from gigas_exporter.report import Finding, Severity
from support.programs import node, run_program

HERE = Path(__file__).resolve().parent
GOOD, NOTICE, WARN, BAD = "#0072B2", "#7FC8F0", "#F5B700", "#D55E00"
DEADLINE_SECONDS = 120


class Shown:
    """A dashboard as it is drawn."""

    def __init__(self, dashboard: Json, drawn: Json) -> None:
        self.panels = panels_of(dashboard)
        self._drawn = drawn

    def of(self, panel: Json) -> Json:
        """Return what Grafana's library made of a panel."""
        return dict(self._drawn[str(panel["id"])])

    def fields(self, panel: Json) -> list[Json]:
        """Return what a panel draws, of all its queries."""
        return [field for frame in self.of(panel)["frames"] for field in frame]

    def tables(self) -> Iterator[tuple[Json, list[str], list[dict[str, Json]]]]:
        """Yield each table's panel, its columns, and its rows: by column, the text, colour and link of the cell."""
        for panel in self.panels:
            if panel["type"] == "table":
                (columns,) = self.of(panel)["frames"]
                names = [column["name"] for column in columns]
                rows = zip(*(column["values"] for column in columns), strict=True)
                yield panel, names, [dict(zip(names, row, strict=True)) for row in rows]

    def table(self, title: str) -> list[dict[str, Json]]:
        """Return a table's rows."""
        (rows,) = [rows for panel, _, rows in self.tables() if panel["title"] == title]
        return rows

    def disk(self, title: str, disk_id: str) -> dict[str, Json]:
        """Return the row of one disk."""
        (row,) = [each for each in self.table(title) if each["Disk ID"]["text"] == disk_id]
        return row

    def number(self, title: str, name: str = "Value") -> tuple[str, str]:
        """Return the text and colour of a single number or bar."""
        panels = [each for each in self.panels if each["title"] == title and each["type"] in {"stat", "bargauge"}]
        (field,) = [field for field in self.fields(panels[0]) if field["name"] == name]
        return field["values"][0]["text"], field["values"][0]["colour"]


@pytest.fixture(scope="module")
def shown(
    dashboards: dict[str, Json], prometheus: Prometheus, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Shown]:
    """Return every dashboard as it is drawn with everything chosen."""
    asked = {}
    for name, dashboard in dashboards.items():
        panels = panels_of(dashboard)
        results = {
            panel["id"]: {
                target["refId"]: (prometheus.now if target["instant"] else prometheus.over)(
                    ALL.expand(target["expr"], dashboard)
                )
                for target in panel["targets"]
            }
            for panel in panels
        }
        asked[name] = {"panels": panels, "results": results}
    done = run_program(node(HERE), HERE / "render.cjs", seconds=DEADLINE_SECONDS, input=json.dumps(asked))
    drawn = json.loads(done.stdout)
    return {name: Shown(dashboard, drawn[name]) for name, dashboard in dashboards.items()}


@pytest.fixture(params=NAMES)
def each(request: pytest.FixtureRequest, shown: dict[str, Shown]) -> Shown:
    """Return each dashboard in turn."""
    return shown[request.param]


def test_tables_have_the_columns_meant(each: Shown) -> None:
    """Every column stands where it should, under its title, and none that nobody named; a sorting names one of them."""
    for panel, columns, _ in each.tables():
        (organised,) = [one["options"] for one in panel["transformations"] if one["id"] == "organize"]
        order = sorted(organised["indexByName"], key=organised["indexByName"].get)
        titles = list(dict.fromkeys(organised["renameByName"][source] for source in order))
        assert columns == titles, panel["title"]
        assert {sorting["displayName"] for sorting in panel["options"].get("sortBy", [])} <= set(columns)


def test_overrides_match_something(each: Shown) -> None:
    """No override is left over from a column or series that is not called so any more; findings come and go."""
    findings = {finding.metric for finding in Finding}
    for panel in each.panels:
        assert set(each.of(panel)["unmatched"]) <= findings, panel["title"]


def test_ids_are_written_as_they_are(each: Shown) -> None:
    """An id is no number: it is not rounded, and has no thousands."""
    for panel, _, rows in each.tables():
        for row in rows:
            for column in {"Disk ID", "Account ID", "Machine ID"} & row.keys():
                assert row[column]["text"].isdigit() or row[column]["text"] == "–", (panel["title"], row[column])


def test_links_lead_to_the_rows_disk(each: Shown) -> None:
    """A click on a row opens the dashboard of the disk, of the machine's disks, of the exporter, or its status page."""
    for panel, _, rows in each.tables():
        for row in rows:
            links = {cell["link"] for cell in row.values() if cell.get("link")}
            of = {name: cell["text"] for name, cell in row.items()}
            wanted = []
            if "Disk ID" in of:
                wanted = [f"/d/gigas-disk/?var-account_id={of['Account ID']}&var-disk_id={of['Disk ID']}&"]
            elif panel["title"] == "Largest virtual machines":
                machine = of["Virtual machine"].replace("\n", "")  # an address holds no line end
                wanted = [f"/d/gigas-disk/?var-account_id={of['Account ID']}&var-virtual_machine={machine}&"]
            elif panel["title"] == "Other firing alerts":
                wanted = ["/d/gigas-exporter/?"]
            elif panel["title"] == "Versions":
                wanted = [f"http://{of['Instance']}/"]
            assert len(links) == len(wanted), panel["title"]
            assert all(unquote(link).startswith(start) for link, start in zip(links, wanted, strict=True)), links


def test_each_poll_is_one_row(shown: dict[str, Shown]) -> None:
    """When each resource was last read, how often that is and how long it took stand in the same row."""
    rows = shown["gigas-exporter"].table("Polls by account")
    polls = [(row["Account ID"]["text"], row["Resource"]["text"]) for row in rows]
    assert len(polls) == len(set(polls)) == 6
    assert all(row["Took"]["text"] != "–" and row["Interval"]["text"] != "–" for row in rows)


def test_legends_tell_findings_in_words(shown: dict[str, Shown], dashboards: dict[str, Json]) -> None:
    """A graph of findings calls them as the exporter does."""
    for name, title in (("gigas-overview", "Findings"), ("gigas-disk", "Findings over time")):
        fields = {field["name"] for field in shown[name].fields(panel_of(dashboards[name], title))} - {"Time"}
        assert fields
        assert {each.lower() for each in fields} <= {finding.value for finding in Finding}


def severity_of(shown: str) -> Severity:
    """Return the exporter's severity of a finding by the word that is shown for it."""
    return next(finding.severity for finding in Finding if finding.value == shown.lower())


def test_worst_disks_are_named_and_say_what_is_wrong(shown: dict[str, Shown]) -> None:
    """The finding is a word in the colour of its weight, the worst first, and nobody who is well is listed."""
    rows = shown["gigas-overview"].table("Worst disks")
    assert {(row["Disk ID"]["text"], row["Finding"]["text"], row["Finding"]["colour"]) for row in rows} == {
        ("1005", "Disk error", BAD),
        ("1004", "Never backed up", BAD),
        ("1003", "Backup missed", BAD),
        ("1003", "Last backup failed", WARN),
        ("1002", "Backup stale", WARN),
        ("2002", "Backup stale", WARN),
        ("1013", "Backups unreadable", WARN),
        ("1014", "Not understood", WARN),
        ("1006", "Locked long", WARN),
        ("1007", "Unprotected", NOTICE),
        ("1009", "Unprotected", NOTICE),
        ("1009", "Detached", NOTICE),
        ("1015", "Backup shrank", NOTICE),
    }
    severities = [severity_of(row["Finding"]["text"]) for row in rows]
    assert severities == sorted(severities, reverse=True)
    assert len(set(severities)) == 4, "each severity is among them"
    colours = [row["Finding"]["colour"] for row in rows]
    assert colours == sorted(colours, key=[BAD, WARN, NOTICE].index), "no unprotected disk above a late backup"
    (row,) = [row for row in rows if row["Finding"]["text"] == "Backup missed"]
    assert {name: cell["text"] for name, cell in row.items()} == {
        "Finding": "Backup missed",
        "Virtual machine": "db-1",
        "Mount point": "/srv/missed",
        "Disk ID": "1003",
        "Limit": "26h",
        "Account ID": "4242",
    }
    assert {row["Virtual machine"]["text"] for row in rows if row["Disk ID"]["text"] == "2002"} == {"VM 901"}


def test_overdue_disks_say_how_old_and_against_what(shown: dict[str, Shown]) -> None:
    """The oldest backup first, with its age and the limit of its disk."""
    rows = shown["gigas-backups"].table("Most overdue disks")
    assert {row["Disk ID"]["text"]: (row["Last backup"]["text"], row["Limit"]["text"]) for row in rows} == {
        "1003": ("2 days, 12 hours", "26h"),
        "1002": ("1 day, 6 hours", "26h"),
        "2002": ("1 day, 3 hours", "26h"),
    }


@pytest.mark.parametrize(
    ("title", "column", "metric"),
    [
        ("Most overdue disks", "Last backup", "gigas_disk_backup_last_timestamp_seconds"),
        ("Never backed up", "Size", "gigas_disk_size_bytes"),
        ("Unprotected", "Size", "gigas_disk_size_bytes"),
    ],
)
def test_a_disk_whose_value_is_not_known_stays_in_its_table(
    dashboards: dict[str, Json],
    prometheus: Prometheus,
    shown: dict[str, Shown],
    *,
    title: str,
    column: str,
    metric: str,
) -> None:
    """Else a table would say that there is no such disk."""
    board = dashboards["gigas-backups"]
    (panel,) = [each for each in panels_of(board) if each["title"] == title and each["type"] == "table"]
    results = {
        target["refId"]: prometheus.now(ALL.expand(target["expr"], board).replace(metric, "gigas_disk_of_nothing"))
        for target in panel["targets"]
    }
    asked = {"gigas-backups": {"panels": [panel], "results": {panel["id"]: results}}}
    done = run_program(node(HERE), HERE / "render.cjs", seconds=DEADLINE_SECONDS, input=json.dumps(asked))
    rows = Shown({**board, "panels": [panel]}, json.loads(done.stdout)["gigas-backups"])
    usual = {row["Disk ID"]["text"] for row in shown["gigas-backups"].table(title)}
    assert {row["Disk ID"]["text"]: row[column]["text"] for row in rows.table(title)} == dict.fromkeys(
        usual, "not known"
    )


@pytest.mark.parametrize(
    ("name", "title", "field", "wanted"),
    [
        ("gigas-overview", "Alerts firing", "critical", ("3", BAD)),
        ("gigas-overview", "Alerts firing", "warning", ("2", WARN)),
        ("gigas-overview", "Alerts firing", "info", ("1", NOTICE)),
        ("gigas-overview", "Disks in error", "Value", ("1", BAD)),
        ("gigas-overview", "Backup late", "Value", ("3", WARN)),
        ("gigas-overview", "Within policy", "Value", ("50.0%", BAD)),
        ("gigas-overview", "Exporters down", "Value", ("0", GOOD)),
        ("gigas-overview", "Accounts not answering", "Value", ("1", WARN)),
        ("gigas-overview", "Disk data age", "Value", ("30 mins", BAD)),
        ("gigas-overview", "Backup data age, in polls", "Value", ("0.5", GOOD)),
        ("gigas-overview", "Provisioned", "Value", ("1 TiB", None)),
        ("gigas-backups", "Age against the limit", "over", ("3", BAD)),
        ("gigas-backups", "Age of the newest backup", "≥ 2 d", ("1", GOOD)),
        ("gigas-backups", "Required", "Value", ("13", None)),
        ("gigas-disk", "Alerts firing", "critical", ("1", BAD)),
        ("gigas-disk", "Last attempt", "Value", ("failed", WARN)),
        ("gigas-disk", "Newest backup", "Value", ("2 days, 12 hours", None)),
        ("gigas-exporter", "Reload, list of accounts", "reload", ("well", GOOD)),
        ("gigas-exporter", "Next login token to expire", "Value", ("1 hour, 0 minutes", GOOD)),
    ],
)
def test_numbers_read_well_and_have_the_colour_meant(
    name: str, title: str, field: str, wanted: tuple[str, str | None], shown: dict[str, Shown]
) -> None:
    """What stands in the big numbers is what a person would say, coloured only where it means something."""
    text, colour = wanted
    plain = shown["gigas-overview"].number("Disks")[1]
    assert shown[name].number(title, field) == (text, colour or plain)


NO_EXPORTER = {("gigas-overview", "Exporters down"), ("gigas-exporter", "Exporters down")}
NO_EXPORTER |= {("gigas-exporter", "Exporters up")}


@pytest.mark.parametrize("name", NAMES)
def test_no_value_is_neither_well_nor_bad(name: str, shown: dict[str, Shown]) -> None:
    """A number that is not there says so in words, without a colour that means something; no exporter is bad."""
    for panel in shown[name].panels:
        if panel["type"] == "stat":
            nothing = shown[name].of(panel)["nothing"]
            assert nothing["text"] == panel["fieldConfig"]["defaults"]["noValue"]
            meant = {nothing["colour"]} & {GOOD, NOTICE, WARN, BAD}
            assert meant == ({BAD} if (name, panel["title"]) in NO_EXPORTER else set()), panel["title"]


def test_neighbours_in_prometheus_are_not_shown(shown: dict[str, Shown]) -> None:
    """With all jobs chosen, a target of the same Prometheus that is no exporter counts nowhere."""
    for panel in shown["gigas-exporter"].panels:
        assert "node:9100" not in json.dumps(shown["gigas-exporter"].of(panel)), panel["title"]
    assert shown["gigas-overview"].number("Exporters down") == ("0", GOOD)


def test_alerts_stand_worst_first(shown: dict[str, Shown]) -> None:
    """The worst severity comes first; each alert says for how long it holds, and those about disks carry names."""
    rows = shown["gigas-overview"].table("Firing alerts about disks")
    severities = [(row["Severity"]["text"], row["Severity"]["colour"]) for row in rows]
    assert severities == [("critical", BAD)] * 3 + [("warning", WARN), ("info", NOTICE)]
    named = {row["Disk ID"]["text"]: (row["Virtual machine"]["text"], row["Mount point"]["text"]) for row in rows}
    assert named["1004"] == ("db-1", "/srv/never")
    assert {row["Disk ID"]["text"]: row["For"]["text"] for row in rows}["1003"] == "20.0 hours"
    (row,) = shown["gigas-disk"].table("Its firing alerts")
    assert row["Alert"]["text"] == "GigasDiskBackupMissed"


def test_the_page_of_a_disk_tells_its_findings(shown: dict[str, Shown]) -> None:
    """Each finding is a word, with the limit that was passed."""
    rows = shown["gigas-disk"].table("Findings")
    assert {(row["Finding"]["text"], row["Limit"]["text"]) for row in rows} == {
        ("Backup missed", "26h"),
        ("Last backup failed", "–"),
    }


@pytest.mark.parametrize(
    ("title", "texts"),
    [("Mean latency", {"400 ms"}), ("Share of failed requests", {"10%"}), ("Requests a minute by outcome", {"5.40"})],
)
def test_requests_add_up(title: str, texts: set[str], shown: dict[str, Shown], dashboards: dict[str, Json]) -> None:
    """The API's requests, two a minute of each operation, take 0.4 s each, and one in ten of them fails."""
    fields = shown["gigas-exporter"].fields(panel_of(dashboards["gigas-exporter"], title))
    seen = {field["values"][0]["text"] for field in fields if field["name"] not in {"503", "timeout"}}
    assert seen == texts


def test_limits_are_drawn_dashed(shown: dict[str, Shown], dashboards: dict[str, Json]) -> None:
    """The limit is told from the age by its dashes, not by colour alone."""
    fields = shown["gigas-disk"].fields(panel_of(dashboards["gigas-disk"], "Age of the newest backup, "))
    dashed = {field["name"] == "limit" for field in fields if "lineStyle" in field["custom"]}
    assert dashed == {True}
    assert any("lineStyle" not in field["custom"] for field in fields)
