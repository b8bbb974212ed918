"""Each mistake in a configuration file has its exact words, with the path of the place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from config.conftest import Load, without_location
from gigas_exporter.config.accounts import AccountSection
from gigas_exporter.config.schema import ApiSection, ConfigFile
from gigas_exporter.errors import ConfigError

ACCOUNT = "accounts: [{id: 1, token: canary-secret}]\n"
KINDS = "give one of token, api_key, or login with password, or a file with the secret"
DURATION = "must be a duration such as 90s, 5m or 1h30m, its units from large to small"

STAR = "quote a text that begins with '*'"
HIDDEN = f"an unknown key, not shown here; the known ones are {', '.join(ConfigFile.model_fields)}"

BAD_FILES = {
    "just words": "the file must be a mapping of keys to values, such as key: value",
    "- 1": "the file must be a mapping of keys to values, such as key: value",
    "pol: {}": "pol: unknown key; did you mean poll?",
    "zzz: 1": HIDDEN,
    "api: {uri: x}": "api.uri: unknown key; did you mean url?",
    "api: {page-size: 5}": "api.page-size: unknown key; did you mean page_size?",
    "accounts: [{id: 1, tokn: x}]": "accounts[0].tokn: unknown key; did you mean token?",
    "backup_policy: [{match: {is_swp: true}, required: false}]": (
        "backup_policy[0].match.is_swp: unknown key; did you mean is_swap?"
    ),
    "backup_policy: [{match: {virtual_machine: db-01}, required: false}]": (
        "backup_policy[0].match.virtual_machine: unknown key; did you mean virtual_machine_label?"
    ),
    ACCOUNT + "backup_policy: [{match: {machine: web*}, max_age: 6h}]": (
        "backup_policy[0].match.machine: unknown key; did you mean virtual_machine_label?"
    ),
    ACCOUNT + "backup_policy: [{match: {vm-id: 501}, max_age: 6h}]": (
        "backup_policy[0].match.vm-id: unknown key; did you mean virtual_machine_id?"
    ),
    ACCOUNT + "backup_policy: [{match: {path: /srv}, max_age: 6h}]": (
        "backup_policy[0].match.path: unknown key; did you mean mount_point?"
    ),
    "backup_policy: [{maxage: 1h}]": "backup_policy[0].maxage: unknown key; did you mean max_age?",
    '"a\\nb": 1': HIDDEN,
    "token_canary: 1": HIDDEN,
    "accounts: [{id: 1, token: x, apikey_CANARY: y}]": (
        f"accounts[0]: an unknown key, not shown here; the known ones are {', '.join(AccountSection.model_fields)}"
    ),
    f"{'k' * 100}: 1": HIDDEN,
    "poll: 60s": "poll: must be a mapping of keys to values, such as key: value",
    "api: []": "api: must be a mapping of keys to values, such as key: value",
    "api: {url: 5}": "api.url: must be text; put it in quotes",
    "api: {url: ''}": "api.url: is empty",
    "api: {url: }": "api.url: is empty",
    "api: {url: api.gigas.com}": "api.url: must start with https:// or http://, such as https://api.gigas.com",
    "api: {url: 'file:///etc/passwd'}": "api.url: must start with https:// or http://, such as https://api.gigas.com",
    "api: {url: 'https:///x'}": "api.url: must name a host, such as https://api.gigas.com",
    "api: {url: 'https://me:canary-secret@api.gigas.com'}": (
        "api.url: must not contain a user name or password, since URLs end up in logs"
    ),
    "api: {url: 'https://api.gigas.com?token=canary-secret'}": (
        "api.url: must end with the host or a path, without ? or #"
    ),
    "api: {url: 'https://api.gigas.com:99999'}": "api.url: must be a URL such as https://api.gigas.com",
    "api: {url: 'https://api gigas.com'}": "api.url: must be a URL without spaces and control characters",
    'api: {url: "https://a\\r\\nb"}': "api.url: has a line break or invisible character inside",
    'accounts: [{id: 1, name: "\\ud800", token: t}]': "not YAML: an escape sequence for no character",
    "api: {url: 'https://300.1.1.1'}": "api.url: must name a host, such as https://api.gigas.com",
    f"api: {{url: 'https://{'a' * 5000}'}}": "api.url: is longer than 4096 characters",
    "api: {timeout: 10}": "api.timeout: must be a duration with its unit, such as 60s",
    "api: {timeout: '10'}": f"api.timeout: {DURATION}",
    "api: {timeout: 0s}": "api.timeout: must be at least 1ms",
    "api: {page_size: '5'}": "api.page_size: must be a whole number",
    "api: {page_size: 0}": "api.page_size: must be at least 1",
    "api: {page_size: 1.5}": "api.page_size: must be a whole number",
    "api: {page_size: true}": "api.page_size: must be a whole number",
    "api: {page_size: 100000}": "api.page_size: must be at most 10000",
    "api: {max_concurrency: 0}": "api.max_concurrency: must be at least 1",
    "api: {max_concurrency: 65}": "api.max_concurrency: must be at most 64",
    "api: {max_requests_per_second: -1}": "api.max_requests_per_second: must be at least 0",
    "api: {max_requests_per_second: fast}": "api.max_requests_per_second: must be a number",
    "api: {max_requests_per_second: 1e999}": "api.max_requests_per_second: must be a finite number",
    "api: {proxy: 'http://u:canary-secret@p:1'}": (
        "api.proxy: must not contain a user name or password, since URLs end up in logs"
    ),
    "api: {proxy: 'socks5://p:1'}": "api.proxy: must start with https:// or http://, such as http://proxy.example:3128",
    "api: {proxy: 'http://p:1/x'}": "api.proxy: must end with the proxy's host and port",
    "api: {ca_file: {}}": "api.ca_file: must be text, not a mapping",
    "accounts: [{id: 1, api_key: {secretKeyRef: {name: x}}}]": "accounts[0].api_key: must be text, not a mapping",
    "accounts: [{id: 1, api_key: '{{ key }}'}]": ("accounts[0].api_key: is a template, which must be filled in first"),
    "apiVersion: v1\nkind: Secret\nstringData: {}": (
        "the file is a Kubernetes object; the configuration is one of the texts below its data or stringData"
    ),
    "accounts: {id: 1}": "accounts: must be a list; begin each entry with '- '",
    "accounts: [production]": "accounts[0]: must be a mapping of keys to values, such as key: value",
    "accounts: []": "accounts: must name at least one account",
    "accounts: [{token: canary-secret}]": "accounts[0].id: is missing",
    "accounts: [{id: true, token: x}]": "accounts[0].id: must be an id: a whole number or text",
    "accounts: [{id: 1.5, token: x}]": "accounts[0].id: must be an id: a whole number or text",
    "accounts: [{id: , token: x}]": "accounts[0].id: is empty",
    "accounts: [{id: '', token: x}]": "accounts[0].id: is empty",
    "accounts: [{id: ../1, token: x}]": "accounts[0].id: must be an id of letters, digits and . _ ~ -",
    "accounts: [{id: .., token: x}]": "accounts[0].id: must be an id of letters, digits and . _ ~ -",
    "accounts: [{id: 1, token: x}, {id: 2, token: x}, {id: '1', token: x}]": (
        "accounts[2].id: is the same as accounts[0].id"
    ),
    "accounts: [{id: 1, name: 5, token: x}]": "accounts[0].name: must be text; put it in quotes",
    "accounts: [{id: 1}]": f"accounts[0]: no credential: {KINDS}",
    "accounts: [{id: 1, token: 123456}]": "accounts[0].token: must be text; put it in quotes",
    "accounts: [{id: 1, token: }]": "accounts[0].token: is empty",
    "accounts: [{id: 1, token: ''}]": "accounts[0].token: is empty",
    "accounts: [{id: 1, token: '  '}]": "accounts[0].token: is empty",
    'accounts: [{id: 1, token: "canary-secret\\nx"}]': (
        "accounts[0].token: has a line break or invisible character inside; it must be one line of text"
    ),
    "accounts: [{id: 1, token: x, token_file: y}]": "accounts[0]: token and token_file are both given; keep one",
    "accounts: [{id: 1, login: l, password: x, password_file: y}]": (
        "accounts[0]: password and password_file are both given; keep one"
    ),
    "accounts: [{id: 1, token: x, api_key: y}]": (
        "accounts[0]: token and api_key are different kinds of credential; keep one"
    ),
    "accounts: [{id: 1, api_key_file: x, login: y, password: z}]": (
        "accounts[0]: api_key and login are different kinds of credential; keep one"
    ),
    "accounts: [{id: 1, api_key: x, password: z}]": (
        "accounts[0]: api_key and password are different kinds of credential; keep one"
    ),
    "accounts: [{id: 1, login: me}]": "accounts[0]: login needs password or password_file",
    "accounts: [{id: 1, password: canary-secret}]": "accounts[0]: password needs login",
    "discover: yes": "discover: must be true, false or a mapping; yes, no, on and off are text",
    "discover: {state: [x]}": "discover.state: unknown key; did you mean status?",
    "discover: {status: }": "discover.status: is empty",
    "discover: true": "discover: needs credential, to ask the API with",
    "discover: true\ncredential:": "discover: needs credential, to ask the API with",
    "discover: true\ncredential: {}": f"credential: no credential: {KINDS}",
    ACCOUNT + "discover: true": "discover: cannot be true when accounts are named; keep one",
    ACCOUNT + "credential: {token: canary-secret}": (
        "credential: belongs to discover: true; give each of accounts its own"
    ),
    "credential: {token: canary-secret}": "credential: has no use without discover: true",
    "discover: true\ncredential: {id: 1, token: x}": "credential.id: unknown key",
    "poll: {interval: 60}": "poll.interval: must be a duration with its unit, such as 60s",
    "poll: {interval: 999ms}": "poll.interval: must be at least 1s",
    "poll: {interval: 1m1h}": f"poll.interval: {DURATION}",
    "poll: {interval: 2y}": "poll.interval: must be at most 1y",
    "poll: {interval: true}": "poll.interval: must be text; put it in quotes",
    "poll: {backups_interval: 0s}": "poll.backups_interval: must be at least 1s",
    "poll: {max_staleness: long}": f"poll.max_staleness: {DURATION}",
    "poll: {backups_source: disks}": "poll.backups_source: must be one of auto, account, disk; did you mean disk?",
    "poll: {backups_source: 1}": "poll.backups_source: must be one of auto, account, disk",
    "poll: {backups_source: }": "poll.backups_source: is empty",
    "backup_status: {failed: broken}": "backup_status.failed: must be a list; begin each entry with '- '",
    "backup_status: {failed: ['']}": "backup_status.failed[0]: is empty",
    "backup_status: {good: [' _-']}": "backup_status.good[0]: is empty but for - and _",
    "backup_status: {failed: [a, 5]}": "backup_status.failed[1]: must be text; put it in quotes",
    "backup_status: {failed: [odd], unfinished: [Odd]}": (
        "backup_status: a word is both in failed and in unfinished; keep one"
    ),
    "api: {time_zone: Europe/Madird}": (
        "api.time_zone: must be a time zone such as Europe/Madrid; did you mean Europe/Madrid?"
    ),
    "api: {time_zone: ../../etc/passwd}": "api.time_zone: must be a time zone such as Europe/Madrid",
    "api: {time_zone: Europe}": (
        "api.time_zone: must be a time zone such as Europe/Madrid; did you mean Europe/Amsterdam?"
    ),
    "api: {disk_size_unit: gb}": "api.disk_size_unit: must be one of B, KB, KiB, MB, MiB, GB, GiB; did you mean GB?",
    "api: {fields: [autobackup]}": (
        "api.fields: must be a mapping of our fields to the API's names, such as autobackup: has_autobackups"
    ),
    "api: {fields: {auto_backup: x}}": (
        "api.fields: has a key that is not a documented field of the API; did you mean autobackup?"
    ),
    "api: {fields: {error: 5}}": (
        "api.fields: must give for error the API's name of the field, or null if it has none"
    ),
    "backup_policy: {required: false}": "backup_policy: must be a list; begin each entry with '- '",
    "backup_policy: [none]": "backup_policy[0]: must be a mapping of keys to values, such as key: value",
    "backup_policy: [{}]": "backup_policy[0]: needs max_age or required: false",
    "backup_policy: [{required: false}, {max_age: 5h, required: false}]": (
        "backup_policy[1]: max_age and required: false contradict each other; keep one"
    ),
    "backup_policy: [{match: {disk_id: }, required: false}]": "backup_policy[0].match.disk_id: is empty",
    "backup_policy: [{match: , required: false}]": "backup_policy[0].match: is empty",
    "backup_policy: [{required: true}]": (
        "backup_policy[0]: required: true needs max_age, how old the newest backup may be"
    ),
    "backup_policy: [{required: no}]": "backup_policy[0].required: must be true or false; yes, no, on and off are text",
    "backup_policy: [{max_age: 0s}]": "backup_policy[0].max_age: must be at least 1ms",
    "backup_policy: [{max_age: 26}]": "backup_policy[0].max_age: must be a duration with its unit, such as 60s",
    "backup_policy: [{match: swap, required: false}]": (
        "backup_policy[0].match: must be a mapping of keys to values, such as key: value"
    ),
    "backup_policy: [{match: {is_swap: 'true'}, required: false}]": (
        "backup_policy[0].match.is_swap: must be true or false, without quotes"
    ),
    "backup_policy: [{match: {disk_id: [1, 2]}, required: false}]": (
        "backup_policy[0].match.disk_id: must be an id: a whole number or text"
    ),
    "backup_policy: [{match: {mount_point: 1}, required: false}]": (
        "backup_policy[0].match.mount_point: must be text; put it in quotes"
    ),
    "web: {listen_address: localhost}": (
        "web.listen_address: must be an address with its port, such as :10063, 127.0.0.1:10063 or [::1]:10063"
    ),
    "web: {listen_address: 10063}": "web.listen_address: must be text; put it in quotes",
    "web: {listen_address: ':65536'}": "web.listen_address: must end with a port from 0 to 65535, such as :10063",
    "web: {listen_address: 'localhost:http'}": (
        "web.listen_address: must end with a port from 0 to 65535, such as :10063"
    ),
    "web: {listen_address: '::1:10063'}": (
        "web.listen_address: must have an IPv6 address in brackets, such as [::1]:10063"
    ),
    "web: {listen_address: '[localhost]:10063'}": (
        "web.listen_address: must have an IPv6 address between the brackets, such as [::1]:10063"
    ),
    "web: {listen_address: '/x:1'}": (
        "web.listen_address: must begin with an IP address or a host name, or with the colon to mean all addresses"
    ),
    "web: {listen_address: '127.0.0.256:1'}": (
        "web.listen_address: must begin with an IP address or a host name, or with the colon to mean all addresses"
    ),
    "web: {telemetry_path: metrics}": "web.telemetry_path: must start with /",
    "web: {telemetry_path: /}": "web.telemetry_path: must not be /, where the status page is",
    "web: {telemetry_path: /-/ready}": (
        "web.telemetry_path: must not start with /-/, where health, readiness and reload are"
    ),
    "web: {telemetry_path: '/metrics?x'}": (
        "web.telemetry_path: must be a plain path of letters, digits and . _ ~ -, such as /metrics"
    ),
    "web: {telemetry_path: /../metrics}": (
        "web.telemetry_path: must be a plain path of letters, digits and . _ ~ -, such as /metrics"
    ),
    "web: {enable_lifecycle: on}": "web.enable_lifecycle: must be true or false; yes, no, on and off are text",
    "web: {dashboard_base: grafana.example.com}": (
        "web.dashboard_base: must start with https:// or http://, such as https://grafana.example.com"
    ),
    "log: {level: warning}": "log.level: must be one of debug, info, warn, error; did you mean warn?",
    "log: {format: xml}": "log.format: must be one of logfmt, json",
    "accounts: [{id: '4242', api_key:canary-secret}]": (
        "accounts[0]: an unknown key that begins with api_key; write api_key, a colon and a space before the value"
    ),
    "canary-secret: ": HIDDEN,
    "api: {url_canary-secret: 1}": (
        f"api: an unknown key, not shown here; the known ones are {', '.join(ApiSection.model_fields)}"
    ),
    "accounts: [{id: 1, api_key_file: ~/key}]": (
        "accounts[0].api_key_file: begins with ~, which is not replaced in this file; write the whole path"
    ),
    "accounts: [{id: 1, api_key_file: $CREDENTIALS_DIRECTORY/canary}]": (
        "accounts[0].api_key_file: begins with a variable, which is not replaced in this file; write the whole path"
    ),
    "accounts: [{id: 1, api_key: '${CANARY_SECRET}'}]": (
        "accounts[0].api_key: is a variable, and variables are not replaced in this file;"
        " write the value, or use a file"
    ),
    "backup_policy: [{max_age: 6 hours}]": f"backup_policy[0].max_age: {DURATION}; did you mean 6h?",
    "backup_policy: [{max_age: 1.5d}]": f"backup_policy[0].max_age: {DURATION}; did you mean 36h?",
    "poll: {interval: 1.5 minutes}": f"poll.interval: {DURATION}; did you mean 1m30s?",
    "poll: {interval: 5 min}": f"poll.interval: {DURATION}; did you mean 5m?",
    "accounts: [{id: 1, api_key: $CANARY_SECRET}]": (
        "accounts[0].api_key: is a variable, and variables are not replaced in this file;"
        " write the value, or use a file"
    ),
    "accounts: [{id: 1, api_key: ${CANARY}}]": (
        "not YAML: a '{' inside a text; quote a text that holds '{'; ${VARIABLE} is not replaced in this file"
    ),
    "accounts: [{id: 1, api_key: 'canary}]": "not YAML: a quote that is not closed",
    "backup_policy: [{mount_point: /srv, max_age: 6h}]": "backup_policy[0].mount_point: belongs below match",
    "poll.backups-interval: 60s": "poll.backups-interval is written as a flag; write backups_interval below poll",
    "web: {enable_lifecycle: 'true'}": "web.enable_lifecycle: must be true or false, without quotes",
    "shard: 1/2": "shard: unknown key",
}
"""By file, the message; a file that begins with neither accounts nor discovery is given an account."""
BARE = ("accounts:", "discover:", "credential:", "just", "- ")


@pytest.mark.parametrize(("text", "message"), BAD_FILES.items(), ids=[text[:70] for text in BAD_FILES])
def test_a_bad_file_gives_its_message(load: Load, text: str, message: str) -> None:
    """The message is exact, is the only problem, stands on one line, and never holds a secret."""
    with pytest.raises(ConfigError) as caught:
        load(text if text.startswith(BARE) else ACCOUNT + text)
    (problem,) = caught.value.problems
    assert without_location(problem) == message
    assert message.startswith(("the file ", "--")) or re.search(r"gigas\.yml:1?[0-9]: ", problem), problem
    assert re.search(r"gigas\.yml:[0-9: ]+", str(caught.value))
    assert str(caught.value).endswith(message)
    assert "\n" not in str(caught.value)
    assert "canary-secret" not in f"{caught.value!s} {caught.value!r} {caught.value.__context__!r}"


@pytest.mark.parametrize(
    ("text", "given", "problems"),
    [
        (
            "accounts: [{id: 1, tokn: x}, {token: y}]\npoll: {interval: 5}\n",
            ({"shard": "3/2"}, {"GIGAS_API_URL": "x"}),
            {
                "accounts[0].tokn: unknown key; did you mean token?",
                "accounts[1].id: is missing",
                "poll.interval: must be a duration with its unit, such as 60s",
                "--shard: must be i/n with i from 1 to n, such as 1/3 for the first of three",
                "GIGAS_API_URL: must start with https:// or http://, such as https://api.gigas.com",
            },
        ),
        (
            (
                "apii: {}\nbackup_policy: [{max_age: 3h, required: false}, {max_age: x}, {}]\n"
                "accounts: [{id: 1, tokn: x}, {id: 2, token: a, api_key: b}]\n"
            ),
            (),
            {
                "apii: unknown key; did you mean api?",
                "accounts[0].tokn: unknown key; did you mean token?",
                "accounts[1]: token and api_key are different kinds of credential; keep one",
                "backup_policy[0]: max_age and required: false contradict each other; keep one",
                f"backup_policy[1].max_age: {DURATION}",
                "backup_policy[2]: needs max_age or required: false",
            },
        ),
    ],
    ids=["of each source", "in keys and across them"],
)
def test_all_problems_are_told_at_once(load: Load, text: str, given: Any, problems: set[str]) -> None:
    """Whoever mends a file need not run the check once for each mistake; the file's name comes once."""
    with pytest.raises(ConfigError) as caught:
        load(text, *given)
    assert set(map(without_location, caught.value.problems)) == problems
    assert str(caught.value).count("gigas.yml") == 1


def test_each_problem_has_the_line_where_it_is(load: Load) -> None:
    """Of a key that is missing, the line of what lacks it."""
    with pytest.raises(ConfigError) as caught:
        load("# a comment\naccounts:\n  - id: 1\n    tokn: x\n  - token: y\npoll:\n\n  interval: 5\n")
    lines = {int(problem.split(":")[1]): without_location(problem) for problem in caught.value.problems}
    assert lines == {
        4: "accounts[0].tokn: unknown key; did you mean token?",
        5: "accounts[1].id: is missing",
        8: "poll.interval: must be a duration with its unit, such as 60s",
    }
    assert ":4: accounts[0].tokn" in str(caught.value)
    assert "; line 5: accounts[1].id" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("accounts:\n\u00a0 - id: 1\n    token: x\n", 2, "a special space"),
        ("accounts:\n  - id:\u00a01\n    token: x\n", 2, "a special space"),
        ("accounts:\n  - id: 1\n  \u00a0 token: x\n", 3, "a special space"),
        ("accounts:\n  - id: 1\u00a0\n    token: x\n", 2, "a special space"),
        ("accounts:\n  - id: 1\n    token: x\n\u200b    name: y: z\n", 4, "a special space"),
        ("accounts:\n  - id: \u201c1\u201d\n    token: x\n", 2, "a typographic quote; write"),
        ("accounts:\n  - {id: 1, token: \u2018x\u2019}\n", 2, "a typographic quote; write"),
        ("accounts:\n  - {id: \u00ab1\u00bb, token: x}\n", 2, "a typographic quote; write"),
        ("accounts:\n  \u2013 id: 1\n    token: x\n", 2, "a long dash or a bullet; write - and a space"),
        ("```yaml\naccounts: []\n```\n", 1, "``` belongs to the page that this was copied from"),
        ("accounts:\n  - id: {{ id }}\n", 2, "a template with '{{' must be filled in first"),
        ("accounts:\n  - id: 1\n   token: x\n", 3, "indented differently from the lines before it"),
        ("accounts:\n  - {id: 1, login: @me}\n", 2, "a text that begins with '@'; quote it"),
        ("accounts:\n  - {id: 1, token: x\n", 3, "a '{' or '[' that is not closed"),
        ("accounts:\n\t- id: 1\n", 2, "a tab; indent with spaces"),
        ("accounts:\n  - id:1\n    token: x\n", 2, "put a space after the ':' of a key"),
        ("accounts:\n  - id: a: b\n", 2, "put a space after the ':' of a key"),
        ("backup_policy: [{match: {mount_point: !/srv}}]\n", 1, "a text that begins with '!'; quote it"),
        ("backup_policy: [{match: {mount_point: #x}}]\n", 2, "quote a text that begins with '#'"),
        ('accounts: [{id: 1, token_file: "C:\\keys"}]\n', 1, "write the text in single quotes"),
        ("accounts: [{id: 1, token: canary-secret", 1, "a '{' or '[' that is not closed"),
        ("poll: {interval: 5s}\npoll: {interval: 6s}\n", 2, "a key is given twice (first in line 1)"),
        *((f"\nbackup_policy: [{{match: {{mount_point: {glob}}}}}]\n", 2, STAR) for glob in ("*", "*.example")),
    ],
)
def test_what_is_no_yaml_is_told_with_its_line(load: Load, text: str, line: int, words: str) -> None:
    """Characters that look like those of YAML, marks of the page or template around it, and slips, without the text."""
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert f"gigas.yml:{line}: " in str(caught.value)
    assert words in str(caught.value)
    assert "canary-secret" not in str(caught.value)


def test_a_bom_and_dos_line_ends_do_not_count(load: Load) -> None:
    """An editor of Windows writes them."""
    assert load("\ufeff" + ACCOUNT.replace("\n", "\r\n")).accounts


def test_a_regular_expression_in_place_of_a_glob_is_a_warning(load: Load) -> None:
    """It matches nothing, and the rule would be without effect."""
    for pattern in ("^/srv", "/srv/.*", "/srv$"):
        rule = f"backup_policy:\n  - {{match: {{mount_point: '{pattern}'}}, max_age: 6h}}\n"
        (warning,) = load(ACCOUNT + rule).warnings
        assert "mount_point: looks like a regular expression, but is a glob" in warning
