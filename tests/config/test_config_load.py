"""File, environment and flags make settings together, in their order of precedence."""

from __future__ import annotations

import itertools
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import certifi
import pytest

from config.conftest import Load, without_location
from gigas_exporter.backup_statuses import BackupStatuses
from gigas_exporter.config import FLAGS, Settings, Shard, load_settings
from gigas_exporter.config.flags import ACCOUNT_VARIABLES
from gigas_exporter.decode import DecodeSettings
from gigas_exporter.errors import ConfigError
from gigas_exporter.gigas.credentials import ApiKeyCredential, LoginCredential, SecretFile, TokenCredential
from gigas_exporter.model import Account
from gigas_exporter.policy import DEFAULT_POLICY, Match, Requirement, Rule
from gigas_exporter.status_words import DISK_ERROR_WORDS

ACCOUNT = "accounts: [{id: 1, token: canary-secret}]\n"
ENVIRONMENT = {"GIGAS_ACCOUNT_ID": "1", "GIGAS_TOKEN": "canary-secret"}
NOTHING_REQUIRED = (
    "backup_policy: requires no backup of any disk: add {match: {autobackup: true}, max_age: 26h}"
    " (the list replaces the default)"
)

FULL = """
api:
  url: https://api.example.com/v1/
  timeout: 500ms
  page_size: 50
  max_concurrency: 2
  max_requests_per_second: 2.5
  ca_file: null
  proxy: http://proxy.example:3128
  time_zone: Europe/Madrid
  disk_size_unit: GB
  backup_size_unit: B
  fields: {autobackup: has_autobackups, error: null}
accounts:
  - {id: 4242, name: production, api_key_file: key}
  - {id: "0043", login: me@example.com, password: canary-secret}
  - {id: abc, token: " canary-token "}
poll: {interval: 1s, backups_interval: 1h, max_staleness: 0s, backups_source: disk}
backup_status: {failed: [Broken, PENDING], unfinished: []}
disk_status: {error: [Bad_State]}
backup_policy:
  - {match: {is_swap: true}, required: false, reason: swap needs no backup}
  - {match: {account_id: 4242, virtual_machine_id: 501, disk_id: "7", mount_point: "/srv/db*"}, max_age: 6h}
  - {match: {autobackup: false, virtual_machine_label: "db-*"}, max_age: 1d, required: true}
  - {required: false}
web: {listen_address: "[::1]:9000", telemetry_path: /m/etrics, config_file: web.yml, enable_lifecycle: true}
log: {level: debug, format: json}
"""


def test_a_full_file_is_understood(load: Load, tmp_path: Path) -> None:
    """Each key reaches its setting; relative paths start at the file's directory, ids are text."""
    (tmp_path / "key").write_text("canary-key\n")
    settings = load(FULL)
    assert settings.api.url == "https://api.example.com/v1"
    assert settings.api.timeout_seconds == 0.5
    assert (settings.api.page_size, settings.api.max_concurrency, settings.api.max_requests_per_second) == (50, 2, 2.5)
    assert (settings.api.ca_file, settings.api.proxy) == (None, "http://proxy.example:3128")
    assert [known.account for known in settings.accounts] == [
        Account("4242", "production"),
        Account("0043"),
        Account("abc"),
    ]
    key, login, token = (known.credential for known in settings.accounts)
    assert key == ApiKeyCredential(SecretFile(tmp_path / "key"))
    assert isinstance(login, LoginCredential)
    assert (login.login, login.password.read().reveal()) == ("me@example.com", "canary-secret")
    assert isinstance(token, TokenCredential)
    assert token.token.read().reveal() == "canary-token"
    poll = settings.poll
    assert (poll.interval, poll.backups_interval, poll.max_staleness, poll.backups_source) == (1, 3600, 0, "disk")
    statuses = BackupStatuses(frozenset({"broken", "pending"}), frozenset(), BackupStatuses().good)
    fields = {"autobackup": "has_autobackups", "error": None}
    assert settings.status_words == statuses
    assert settings.api.decoding == DecodeSettings(
        ZoneInfo("Europe/Madrid"), "GB", "B", fields, frozenset({"bad state"}), statuses
    )
    assert settings.policy.rules == (
        Rule(Requirement(required=False, reason="swap needs no backup"), Match(is_swap=True)),
        Rule(
            Requirement(required=True, max_age_seconds=21600),
            Match(account_id="4242", disk_id="7", virtual_machine_id="501", mount_point="/srv/db*"),
        ),
        Rule(
            Requirement(required=True, max_age_seconds=86400),
            Match(autobackup=False, virtual_machine_label="db-*"),
        ),
        Rule(Requirement(required=False)),
    )
    web = settings.web
    assert (web.listen_address, web.telemetry_path) == ((("::1", 9000),), "/m/etrics")
    assert (web.config_file, web.enable_lifecycle) == (tmp_path / "web.yml", True)
    assert (settings.log.level, settings.log.format) == ("debug", "json")
    assert [without_location(each).partition(":")[0] for each in settings.warnings] == [
        "backup_status.failed",
        "backup_status.unfinished",
        "disk_status.error",
    ]
    assert "canary" not in repr(settings)


def test_defaults_hold_for_what_is_not_given(load: Load) -> None:
    """The least file gives the documented defaults; a section with nothing in it means the same."""
    settings = load(ACCOUNT + "api:\npoll:\nbackup_status: {}\nbackup_policy:\nweb:\nlog:\ncredential:\n")
    assert settings == load(ACCOUNT)
    assert (settings.poll.interval, settings.poll.backups_interval, settings.poll.max_staleness) == (60, 300, 900)
    assert settings.web.listen_address == (("", 10063),)
    assert settings.policy == DEFAULT_POLICY
    assert settings.status_words == BackupStatuses()
    assert (settings.shard, settings.discovery, settings.warnings) == (None, None, ())


def test_an_empty_policy_requires_nothing(load: Load) -> None:
    """A policy without rules was given on purpose, and is not the default."""
    assert load(ACCOUNT + "backup_policy: []").policy.rules == ()


def test_the_environment_alone_is_enough() -> None:
    """One account needs no file; white space around a value is not a part of it."""
    settings = load_settings(None, {}, {"GIGAS_ACCOUNT_ID": " 42 ", "GIGAS_API_KEY": "canary-secret\n"})
    (known,) = settings.accounts
    assert known.account == Account("42")
    assert isinstance(known.credential, ApiKeyCredential)
    assert known.credential.key.read().reveal() == "canary-secret"
    assert "canary" not in repr(settings)


def test_each_secret_of_the_environment_may_be_in_a_file(tmp_path: Path) -> None:
    """A variable that ends in _FILE names the file."""
    file = tmp_path / "secret"
    file.write_text("canary-secret")
    account = {"GIGAS_ACCOUNT_ID": "1"}
    for variables, credential in (
        ({"GIGAS_TOKEN_FILE": str(file)}, TokenCredential(SecretFile(file))),
        ({"GIGAS_API_KEY_FILE": str(file)}, ApiKeyCredential(SecretFile(file))),
        ({"GIGAS_LOGIN": "me", "GIGAS_PASSWORD_FILE": str(file)}, LoginCredential("me", SecretFile(file))),
    ):
        assert load_settings(None, {}, {**account, **variables}).accounts[0].credential == credential


def test_an_empty_variable_counts_as_unset() -> None:
    """Compose and Kubernetes pass variables that nobody filled in."""
    empty = dict.fromkeys((*ACCOUNT_VARIABLES, *(flag.env for flag in FLAGS)), "")
    assert load_settings(None, {}, {**empty, **ENVIRONMENT}) == load_settings(None, {}, ENVIRONMENT)


def test_a_flag_goes_before_the_environment_before_the_file_before_the_default(load: Load) -> None:
    """Each source hides the ones after it, key by key."""
    text = ACCOUNT + "poll: {interval: 2s, backups_interval: 2s, max_staleness: 2s}\n"
    environ = {"GIGAS_POLL_INTERVAL": "3s", "GIGAS_POLL_BACKUPS_INTERVAL": "3s"}
    poll = load(text, {"poll.interval": "4s", "poll.max-staleness": None}, environ).poll
    assert (poll.interval, poll.backups_interval, poll.max_staleness, poll.backups_source) == (4, 3, 2, "auto")


def test_a_flag_that_is_off_hides_a_file_that_says_on(load: Load) -> None:
    """False is a value; only None stands for a flag that was not given."""
    text = ACCOUNT + "web: {enable_lifecycle: true}"
    assert load(text, {"web.enable-lifecycle": False}).web.enable_lifecycle is False
    assert load(text, {"web.enable-lifecycle": None}).web.enable_lifecycle is True


EACH_FLAG = [
    ("web.listen-address", "127.0.0.1:1", lambda settings: settings.web.listen_address, (("127.0.0.1", 1),)),
    ("web.telemetry-path", "/m", lambda settings: settings.web.telemetry_path, "/m"),
    ("web.config.file", "w.yml", lambda settings: settings.web.config_file, Path("w.yml")),
    ("web.enable-lifecycle", "true", lambda settings: settings.web.enable_lifecycle, True),
    ("web.dashboard-base", "https://g.example/x/", lambda settings: settings.web.dashboard_base, "https://g.example/x"),
    ("poll.interval", "7s", lambda settings: settings.poll.interval, 7),
    ("poll.backups-interval", "7s", lambda settings: settings.poll.backups_interval, 7),
    ("poll.max-staleness", "7s", lambda settings: settings.poll.max_staleness, 7),
    ("backups.source", "account", lambda settings: settings.poll.backups_source, "account"),
    ("api.url", "https://a.example/", lambda settings: settings.api.url, "https://a.example"),
    ("api.timeout", "7s", lambda settings: settings.api.timeout_seconds, 7),
    ("api.page-size", "7", lambda settings: settings.api.page_size, 7),
    ("api.max-concurrency", "7", lambda settings: settings.api.max_concurrency, 7),
    ("api.max-requests-per-second", "0.5", lambda settings: settings.api.max_requests_per_second, 0.5),
    ("shard", "2/3", lambda settings: settings.shard, Shard(2, 3)),
    ("log.level", "warn", lambda settings: settings.log.level, "warn"),
    ("log.format", "json", lambda settings: settings.log.format, "json"),
]


@pytest.mark.parametrize(("name", "text", "read", "expected"), EACH_FLAG)
def test_each_flag_and_its_variable_reach_their_setting(
    name: str, text: str, read: Callable[[Settings], object], expected: object
) -> None:
    """The flag and the variable of the same name mean the same."""
    variable = "GIGAS_" + name.upper().replace(".", "_").replace("-", "_")
    assert read(load_settings(None, {name: text}, ENVIRONMENT)) == expected
    assert read(load_settings(None, {}, {**ENVIRONMENT, variable: text})) == expected


def test_the_table_of_flags_is_whole() -> None:
    """Every flag but the file's own is tried above."""
    assert [flag.name for flag in FLAGS] == ["config.file", *(case[0] for case in EACH_FLAG)]


@pytest.mark.parametrize(
    ("name", "given", "problem"),
    [
        ("api.page-size", 7.5, "must be a whole number"),
        ("api.page-size", "many", "must be a whole number"),
        ("api.page-size", "0", "must be at least 1"),
        ("api.max-requests-per-second", "nan", "must be a number"),
        ("poll.interval", "60", "must be a duration such as 90s, 5m or 1h30m, its units from large to small"),
        ("poll.interval", "", "is empty"),
        ("web.enable-lifecycle", "maybe", "must be true or false"),
        ("log.level", "inf", "must be one of debug, info, warn, error; did you mean info?"),
        ("shard", "0/3", "must be i/n with i from 1 to n, such as 1/3 for the first of three"),
        ("shard", "one", "must be i/n, such as 1/3 for the first of three"),
        ("api.url", "https://a:canary-secret@b", "must not contain a user name or password, since URLs end up in logs"),
    ],
)
def test_a_bad_flag_is_named(name: str, given: object, problem: str) -> None:
    """The words are those of the file, the place is the flag."""
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {name: given}, ENVIRONMENT)
    assert caught.value.problems == (f"--{name}: {problem}",)
    assert str(caught.value) == f"--{name}: {problem}"


def test_a_number_may_be_given_as_a_number() -> None:
    """The command line may have turned it into one already."""
    assert load_settings(None, {"api.page-size": 7}, ENVIRONMENT).api.page_size == 7


def test_a_bad_file_is_an_error_also_where_a_flag_hides_it(load: Load) -> None:
    """Otherwise the mistake would wait for the day on which the flag goes."""
    with pytest.raises(ConfigError, match=r"poll\.interval: must be at least 1s"):
        load(ACCOUNT + "poll: {interval: 0s}", {"poll.interval": "4s"})


def test_an_unknown_flag_is_the_callers_mistake() -> None:
    """A name outside the table is not a setting that somebody got wrong."""
    with pytest.raises(ValueError, match=r"not flags of commands: poll\.intervall"):
        load_settings(None, {"poll.intervall": "4s"}, ENVIRONMENT)


@pytest.mark.parametrize("by", ["argument", "flag", "variable"])
def test_the_file_may_be_named_in_three_ways(tmp_path: Path, by: str) -> None:
    """As the argument, as the flag and as the variable."""
    path = tmp_path / "named.yml"
    path.write_text(ACCOUNT)
    settings = load_settings(
        path if by == "argument" else None,
        {"config.file": path} if by == "flag" else {},
        {"GIGAS_CONFIG_FILE": str(path)} if by == "variable" else {},
    )
    assert settings.accounts[0].account.id == "1"


BAD_ENVIRONMENTS = {
    "": (
        "no account to watch: set GIGAS_ACCOUNT_ID and GIGAS_API_KEY (or GIGAS_TOKEN, or GIGAS_LOGIN with"
        " GIGAS_PASSWORD), or name accounts in a file given with --config.file"
    ),
    "TOKEN=canary-secret": "GIGAS_TOKEN: needs GIGAS_ACCOUNT_ID too, or discover: true in a config file",
    "ACCOUNT_ID=1": (
        "no credential: give one of GIGAS_TOKEN, GIGAS_API_KEY, or GIGAS_LOGIN with GIGAS_PASSWORD,"
        " or a file with the secret"
    ),
    "ACCOUNT_ID=1; TOKEN=canary-secret; API_KEY=canary-secret": (
        "GIGAS_TOKEN and GIGAS_API_KEY are different kinds of credential; keep one"
    ),
    "ACCOUNT_ID=1; TOKEN=canary-secret; TOKEN_FILE=/nowhere": (
        "GIGAS_TOKEN and GIGAS_TOKEN_FILE are both given; keep one"
    ),
    "ACCOUNT_ID=1; LOGIN=me": "GIGAS_LOGIN needs GIGAS_PASSWORD or GIGAS_PASSWORD_FILE",
    "ACCOUNT_ID=1; PASSWORD=canary-secret": "GIGAS_PASSWORD needs GIGAS_LOGIN",
    "ACCOUNT_ID=1/2; TOKEN=canary-secret": "GIGAS_ACCOUNT_ID: must be an id of letters, digits and . _ ~ -",
    "ACCOUNT_ID=1; TOKEN=canary\nsecret": (
        "GIGAS_TOKEN: has a line break or invisible character inside; it must be one line of text"
    ),
    "ACCOUNT_ID=1; API_KEY=“canary-secret”": (
        "GIGAS_API_KEY: has a character that no HTTP header can hold, such as a typographic quote"
    ),
    "ACCOUNT_ID=1; TOKEN_FILE=/nowhere/canary7": (
        "GIGAS_TOKEN_FILE: there is no such file; the secret itself goes under GIGAS_TOKEN"
    ),
}
"""By variables without their GIGAS_, the message."""


@pytest.mark.parametrize(("given", "problem"), BAD_ENVIRONMENTS.items(), ids=BAD_ENVIRONMENTS)
def test_a_bad_environment_gives_its_message(given: str, problem: str) -> None:
    """The message names the variables and says what to do."""
    variables = dict(f"GIGAS_{each}".split("=", 1) for each in given.split("; ") if each)
    with pytest.raises(ConfigError) as caught:
        load_settings(None, {}, variables)
    assert caught.value.problems == (problem,)
    assert "canary" not in f"{caught.value!s} {caught.value!r}"


@pytest.mark.parametrize("variable", ACCOUNT_VARIABLES)
@pytest.mark.parametrize(
    ("text", "told"),
    [(ACCOUNT, "accounts"), ("discover: true\ncredential: {token: canary-secret}", "discover")],
)
def test_the_file_and_the_environment_cannot_both_name_accounts(
    load: Load, text: str, told: str, variable: str
) -> None:
    """Which of the two were meant is not guessed."""
    with pytest.raises(ConfigError) as caught:
        load(text, {}, {variable: "canary-secret"})
    words = f"is set together with {told} in the config file; keep one"
    hint = f"(unset {variable} where it is exported by the shell)"
    assert caught.value.problems == (f"{variable}: {words} {hint}",)


def test_discovery_takes_its_credential_from_the_file_or_the_environment(load: Load) -> None:
    """No account is named, the credential finds them; an account id beside it would contradict it."""
    settings = load("discover: true\ncredential: {login: me, password: canary-secret}")
    assert settings.accounts == ()
    assert isinstance(settings.discovery, LoginCredential)
    assert isinstance(load("discover: true", {}, {"GIGAS_TOKEN": "canary-secret"}).discovery, TokenCredential)
    with pytest.raises(ConfigError, match="GIGAS_ACCOUNT_ID: is set together with discover"):
        load("discover: true", {}, {"GIGAS_ACCOUNT_ID": "1", "GIGAS_TOKEN": "canary-secret"})


def test_a_file_without_accounts_takes_the_account_of_the_environment(load: Load) -> None:
    """The file may hold the policy alone; an empty file holds nothing, which is allowed."""
    assert load("poll: {interval: 5s}", {}, ENVIRONMENT).accounts[0].account.id == "1"
    assert load("", {}, ENVIRONMENT) == load_settings(None, {}, ENVIRONMENT)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff", "not UTF-8 text"),
        (b"x" * 100_000, "larger than 65536 bytes"),
        ("a\u200bb".encode(), "has a line break or invisible character inside; it must be one line of text"),
        (b"a\nb", "has a line break or invisible character inside; it must be one line of text"),
        ("“a”".encode(), "has a character that no HTTP header can hold, such as a typographic quote"),
    ],
)
def test_a_secret_file_is_read_when_the_settings_are(load: Load, tmp_path: Path, content: bytes, words: str) -> None:
    """A secret that cannot be used is a problem of the configuration, told with its path."""
    (tmp_path / "token").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load("accounts: [{id: 1, token_file: token}]")
    (problem,) = caught.value.problems
    assert without_location(problem) == f"accounts[0].token_file: secret file {tmp_path}/token: {words}"


@pytest.mark.parametrize("path", ["DIR/token", "/etc/gigas-exporter-of-nobody/api_key"])
def test_a_secret_file_that_is_not_there_is_named_where_it_is_no_secret(load: Load, tmp_path: Path, path: str) -> None:
    """Where its directory is there, or it is of plain words, as in the template before anyone made its directory."""
    path = path.replace("DIR", str(tmp_path.parent))
    with pytest.raises(ConfigError, match=rf"secret file {path}: No such file or directory"):
        load(f"accounts: [{{id: 1, token_file: {path}}}]")


def test_a_secret_in_place_of_its_file_is_not_shown(load: Load) -> None:
    """The likeliest slip with a key that ends in _file, in the file and in the environment."""
    secrets = (
        "canary0secret0canary",
        "canary",
        "canary.secret.x_y",
        "can/canary+z==",
        "/canary/x7",
        "/canary/X",
        "/canary/x=",
        "/canary/" + "x" * 40,
        "/canary",
        "canary" * 60,
    )
    slips: list[tuple[str | None, dict[str, str]]] = []
    for secret in secrets:
        slips.append((f"accounts: [{{id: 1, api_key_file: {secret}}}]", {}))
        slips.append((None, {"GIGAS_ACCOUNT_ID": "1", "GIGAS_API_KEY_FILE": secret}))
    for text, environ in slips:
        with pytest.raises(ConfigError, match=r"the secret itself goes under (?:GIGAS_API_KEY|api_key)") as caught:
            load(text, {}, environ)
        assert "canary" not in str(caught.value)


def test_a_password_may_have_any_character(load: Load) -> None:
    """It travels in a body, unlike a token."""
    assert isinstance(load("accounts: [{id: 1, login: me, password: '“a”'}]").accounts[0].credential, LoginCredential)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """Missing, a directory, not text, too large: each is said with the file's name."""
    (tmp_path / "binary.yml").write_bytes(b"\xff\xfe")
    (tmp_path / "large.yml").write_bytes(b"#" * (4 * 1024 * 1024 + 1))
    for name, words in (
        ("missing.yml", "No such file or directory"),
        ("", "Is a directory"),
        ("binary.yml", "not UTF-8 text"),
        ("large.yml", "larger than 4194304 bytes"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_settings(tmp_path / name, {}, {})
        assert str(caught.value) == f"{tmp_path / name}: {words}"


def test_the_authorities_file_is_checked(load: Load, tmp_path: Path) -> None:
    """It must be there and hold certificates, and is found beside the configuration file."""
    text = ACCOUNT + "api: {ca_file: ca.pem}"
    with pytest.raises(ConfigError, match=r"api\.ca_file: .*/ca\.pem: No such file or directory"):
        load(text)
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(ConfigError, match=r"api\.ca_file: the file of authorities .*/ca\.pem: holds no certificate$"):
        load(text)
    (tmp_path / "ca.pem").unlink()
    os.mkfifo(tmp_path / "ca.pem")  # that nobody writes to, and nobody may wait for
    with pytest.raises(ConfigError, match=r"api\.ca_file: the file of authorities .*/ca\.pem: holds no certificate$"):
        load(text)
    (tmp_path / "ca.pem").unlink()
    shutil.copy(certifi.where(), tmp_path / "ca.pem")
    assert load(text).api.ca_file == tmp_path / "ca.pem"
    (tmp_path / "ca.pem").write_text(Path(certifi.where()).read_text("utf-8"), encoding="utf-8-sig")  # as Windows does
    assert load(text).api.ca_file == tmp_path / "ca.pem"


@pytest.mark.parametrize(("url", "warns"), [("http://[::1]:8080", False), ("http://api.gigas.com", True)])
def test_an_unencrypted_url_warns_unless_it_is_on_loopback(url: str, warns: bool) -> None:
    """It works, but the credential can be read on the way; the simulator and a local proxy need no TLS."""
    warning = f"api.url: {url} is not encrypted, and credentials are sent to it; use https://"
    assert load_settings(None, {"api.url": url}, ENVIRONMENT).warnings == ((warning,) if warns else ())


def test_a_misspelt_variable_warns() -> None:
    """With the nearest setting and no value; not of other commands' options, nor of what Kubernetes sets."""
    strays = {"GIGAS_POLL_INTERVALL": "60s", "GIGAS_APIKEY_FILE": "/x", "GIGAS_SECRET": "s3cret"}
    fine = {
        "GIGAS_DISKS_LIST_MOUNT_POINT": "/srv",
        "GIGAS_EXPORTER_SERVICE_HOST": "10.0.0.1",
        "GIGAS_EXPORTER_SERVICE_PORT_HTTP_METRICS": "10063",
        "GIGAS_EXPORTER_PORT": "tcp://10.0.0.1:10063",
        "GIGAS_API_PORT_10063_TCP_ADDR": "10.0.0.1",
        "GIGAS_EXPORTR": " ",
        "_GIGAS_EXPORTER_COMPLETE": "bash_source",
    }
    assert load_settings(None, {}, {**ENVIRONMENT, **strays, **fine}).warnings == (
        "environment variable GIGAS_APIKEY_FILE is not known; did you mean GIGAS_API_KEY_FILE?",
        "environment variable GIGAS_POLL_INTERVALL is not known; did you mean GIGAS_POLL_INTERVAL?",
        "environment variable GIGAS_SECRET is not known",
    )


WIDE = "{match: {autobackup: true}, max_age: 26h}"
NARROW = "{match: {autobackup: true, mount_point: /srv*}, max_age: 6h}"
OTHER = "{match: {autobackup: false, mount_point: /srv*}, required: false}"
SCRATCH = "{match: {disk_id: 17}, required: false, reason: scratch}"


@pytest.mark.parametrize(
    ("rules", "warnings"),
    [
        # One exemption alone replaces the default rules, and no alert about a backup could fire.
        (SCRATCH, [NOTHING_REQUIRED]),
        ("{match: {is_swap: true}, required: false, reason: swap}, {required: false}", [NOTHING_REQUIRED]),
        ("", [NOTHING_REQUIRED]),
        (f"{SCRATCH}, {WIDE}", []),
        ("{match: {disk_id: 17}, max_age: 26h}", []),
        # A rule after one that matches everything, or for an account that is not watched, is hardly meant.
        (
            "{match: {account_id: 2}, max_age: 1h}, {match: {}, required: false}, {match: {disk_id: 3}, max_age: 1h}",
            [
                "backup_policy[0].match.account_id: 2 is not in accounts",
                "backup_policy[2]: is never reached, since backup_policy[1] matches every disk",
                NOTHING_REQUIRED,
            ],
        ),
        # The exception written below the rule that it is an exception from changes nothing; the other order does.
        (
            f"{WIDE}, {OTHER}, {NARROW}",
            ["backup_policy[2]: is never reached, since backup_policy[0] matches all of its disks"],
        ),
        (f"{NARROW}, {WIDE}, {OTHER}", []),
    ],
)
def test_a_policy_that_is_hardly_meant_warns(load: Load, rules: str, warnings: list[str]) -> None:
    """One that requires no backup at all, and each rule that can decide nothing; all rules are kept."""
    settings = load(f"{ACCOUNT}backup_policy: [{rules}]")
    assert [without_location(each) for each in settings.warnings] == warnings
    assert len(settings.policy.rules) == len(re.findall("max_age|required", rules))


def test_a_list_of_words_that_leaves_out_default_ones_warns(load: Load) -> None:
    """Whoever adds a word means the others too; one that is moved to another list is not left out."""
    every = sorted(BackupStatuses().failed)
    lists = {"failed": [*every, "kaputt"], "good": ["vaulted", *sorted(BackupStatuses().good)[3:]]}
    warnings = load(ACCOUNT + json.dumps({"backup_status": lists})[1:-1] + "\ndisk_status: {error: [odd]}").warnings
    assert [without_location(each).partition(" (")[0] for each in warnings] == [
        "backup_status.good: leaves out 3 words of the default list, which it replaces",
        f"disk_status.error: leaves out {len(DISK_ERROR_WORDS)} words of the default list, which it replaces",
    ]
    moved = {"failed": every[1:], "unfinished": [every[0], *sorted(BackupStatuses().unfinished)]}
    assert not load(ACCOUNT + json.dumps({"backup_status": moved})[1:-1]).warnings


@pytest.mark.parametrize(
    ("wide", "narrow", "warns"),
    [
        ("/srv/*", "/srv/db*", True),
        ("*", "/srv", True),
        ("/srv*db", "/srv/x?db", True),
        ("/srv/db*", "/srv/*", False),
        ("/srv/?b", "/srv/*b", False),
        ("*b*", "[ab]x", False),
        ("/srv/[a]*", "/srv/[a]*x", False),
    ],
)
def test_a_glob_after_one_that_contains_it_warns(load: Load, wide: str, narrow: str, warns: bool) -> None:
    """The exception written below is never reached; where that is not certain, nothing is said."""
    rules = [f"{{match: {{mount_point: '{glob}'}}, max_age: {age}h}}" for glob, age in ((wide, 26), (narrow, 6))]
    warnings = load(f"{ACCOUNT}backup_policy: [{', '.join(rules)}]").warnings
    assert [without_location(each) for each in warnings] == (
        ["backup_policy[1]: is never reached, since backup_policy[0] matches all of its disks"] if warns else []
    )


def test_every_account_is_in_one_shard() -> None:
    """The parts are disjoint, complete, and the same in every process."""
    ids = [str(number) for number in range(1, 200)]
    parts = [[account for account in ids if Shard(index, 3).owns(account)] for index in (1, 2, 3)]
    assert sorted(itertools.chain(*parts)) == sorted(ids)
    assert all(len(part) > 40 for part in parts)
    assert [Shard(2, 3).owns(account) for account in ("4242", "4243", "4244")] == [True, False, False]


def test_another_number_of_shards_moves_few_accounts() -> None:
    """With a fourth exporter, accounts move to it alone; the other three exchange none."""
    ids = [str(number) for number in range(1, 200)]
    for index in (1, 2, 3):
        before = {account for account in ids if Shard(index, 3).owns(account)}
        after = {account for account in ids if Shard(index, 4).owns(account)}
        assert after < before


def test_of_two_shards_for_one_account_one_says_that_it_watches_nothing() -> None:
    """Without shards every account is this process's; with them, those of its shard."""
    assert load_settings(None, {}, ENVIRONMENT).owns("1")
    shards = [load_settings(None, {"shard": f"{index}/2"}, ENVIRONMENT) for index in (1, 2)]
    assert sorted((shard.owns("1"), shard.warnings) for shard in shards) == [
        (False, ("--shard 2/2: owns none of the accounts, so that nothing is watched here",)),
        (True, ()),
    ]
