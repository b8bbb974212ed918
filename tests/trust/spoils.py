"""Ways to spoil an API's lists that leave the truth as it is: what a real API might look like, and faults of its pages.

Each takes the API, an account's id and a source of chance. What it makes of a value either says the same in other
words, or says nothing: a flag never becomes its opposite, and a date never another moment.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from functools import partial
from typing import Any

from support.small_api import Answer, SmallApi, ago, healthy

Item = dict[str, Any]
Spoil = Callable[[SmallApi, str, random.Random], None]

PAGE = 3
DISKS = 5
FLAGS = ("autobackup", "is_swap", "error", "locked", "built")
DATES = ("created_at", "updated_at", "date_created")
IDS = ("id", "disk_id", "virtual_machine_id")
DISK_FIELDS = ("id", "autobackup", "is_swap", "error", "status", "created_at", "mount_point", "locked")
BACKUP_FIELDS = ("id", "disk_id", "date_created", "status", "backup_size", "locked", "built", *["status"] * 7)
"""The status more often than all others: it decides most."""
NEVER_TRUE: Mapping[str, tuple[Any, ...]] = {
    "flag": (7, 2.5, "perhaps", {"enabled": None}, ["x"]),
    "date": (12, "yesterday", "2026-01-31", {"at": 1}, ["x"], True),
    "id": ({"v": 1}, [1], True, 1.5, "a/b", "..", ""),
    "text": (3, True, {"state": "x"}, ["x"], 1.5),
    "number": ("large", {"kb": 1}, [5], -1),
}


UNDOCUMENTED: tuple[tuple[str, Any], ...] = (
    *(("state", "stopped"), ("phase", "terminated"), ("result", "no errors"), ("health", {"state": "failed"})),
    *(
        ("last_error", "timeout"),
        ("errors", ["x"]),
        ("hasFailed", True),
        ("exit_code", 1),
        ("failed_at", 1_600_000_000),
    ),
    *(("progress", 0), ("progress", {"percent": 100}), ("completed", False), ("pending", []), ("isRunning", True)),
    *(("expires_at", "2020-01-31"), ("finished", "2026-01-31"), ("phase", "2/2"), ("deleted_at", "0000-00-00")),
)


def _kind(field: str) -> str:
    for kind, fields in (("flag", FLAGS), ("date", DATES), ("id", IDS), ("number", ("backup_size", "disk_size"))):
        if field in fields:
            return kind
    return "text"


# Fleets


def _old_backups(api: SmallApi, account: str, number: int) -> None:
    """The newest usable backup is sixty hours old."""
    _each_backup(api, account, number, lambda age, item: item.update(date_created=ago(hours=60 + 24 * age)))


def _no_backup(api: SmallApi, account: str, number: int) -> None:
    """There is no backup at all."""
    api.lists[f"/account/{account}/disk/{number}/backups"] = []
    path = f"/account/{account}/backups"
    api.lists[path] = [item for item in api.lists[path] if item["disk_id"] != number]


def _failed_since(api: SmallApi, account: str, number: int) -> None:
    """The newest backup failed, and the ones before are old."""
    _old_backups(api, account, number)
    _each_backup(api, account, number, lambda age, item: age or item.update(date_created=ago(hours=1), status="failed"))


def _unfinished(api: SmallApi, account: str, number: int) -> None:
    """The newest backup is under way, and the ones before are old."""
    _old_backups(api, account, number)
    _each_backup(
        api, account, number, lambda age, item: age or item.update(date_created=ago(hours=1), status="in progress")
    )


def _not_built(api: SmallApi, account: str, number: int) -> None:
    """The newest backup has no status and is not built."""
    _old_backups(api, account, number)
    made = {"date_created": ago(hours=1), "status": None, "built": False}
    _each_backup(api, account, number, lambda age, item: age or item.update(made))


def _in_error(api: SmallApi, account: str, number: int) -> None:
    """The newest backup has failed, and another field than its status says so."""
    _old_backups(api, account, number)
    made = {"date_created": ago(hours=1), "failed": True, "errors": ["no space left"]}
    _each_backup(api, account, number, lambda age, item: age or item.update(made))


FLEETS = (_old_backups, _no_backup, _failed_since, _unfinished, _not_built, _in_error)
"""What is wrong with one disk of a fleet whose others are well."""


def _each_backup(api: SmallApi, account: str, number: int, change: Callable[[int, Item], object]) -> None:
    own = api.lists[f"/account/{account}/disk/{number}/backups"]
    listed = [item for item in api.lists[f"/account/{account}/backups"] if item["disk_id"] == number]
    for items in (own, listed):
        for age, item in enumerate(items):
            change(age, item)


def make_fleet(api: SmallApi, account: str, chance: random.Random, *, is_missed: bool) -> None:
    """Add an account: swap and other disks that are well, and one whose backup was missed if that is wanted."""
    api.lists.update(healthy(account, DISKS))
    disks = api.lists[f"/account/{account}/disks"]
    disks[-1].update(is_swap=True, autobackup=False, mount_point=None)
    _no_backup(api, account, DISKS)
    if is_missed:
        chance.choice(FLEETS)(api, account, chance.randint(1, DISKS - 1))


# Spoils of items


def _targets(api: SmallApi, account: str, chance: random.Random) -> tuple[tuple[str, ...], list[list[Item]]]:
    """Return the fields of a kind of item, and some items of it: all of a list, one, or one in each of its lists."""
    fields: tuple[str, ...] = DISK_FIELDS
    paths = [f"/account/{account}/disks"]
    if chance.random() < 0.6:  # most faults are about backups
        own = [path for path in api.lists if path.startswith(f"/account/{account}/disk/")]
        fields, paths = BACKUP_FIELDS, [f"/account/{account}/backups", *(own if chance.random() < 0.5 else [])]
    return fields, [api.lists[path] for path in paths if api.lists[path]]


def _on_items(change: Callable[[Item, str, random.Random], None]) -> Spoil:
    """Return a spoil that changes one field of all items, or of one of each list."""

    def spoil(api: SmallApi, account: str, chance: random.Random) -> None:
        fields, lists = _targets(api, account, chance)
        field, is_all = chance.choice(fields), chance.random() < 0.5  # half
        for items in lists:
            for item in map(_inside, items if is_all else [chance.choice(items)]):
                if field in item:
                    change(item, field, chance)

    return spoil


def _inside(item: Item) -> Item:
    inner: Item = next(iter(item.values())) if len(item) == 1 and isinstance(next(iter(item.values())), dict) else item
    return inner


def _drop(item: Item, field: str, chance: random.Random) -> None:
    del item[field], chance


def _null(item: Item, field: str, chance: random.Random) -> None:
    del chance
    item[field] = None


def _other_type(item: Item, field: str, chance: random.Random) -> None:
    item[field] = chance.choice(NEVER_TRUE[_kind(field)])


def _rename(item: Item, field: str, chance: random.Random) -> None:
    item[chance.choice([f"has_{field}", field.upper(), f"{field}s", field.replace("_", "")]) + "_"] = item.pop(field)


def _spell(item: Item, field: str, chance: random.Random) -> None:
    """Say the same in other words."""
    value, kind = item[field], _kind(field)
    spell = {"flag": _spell_flag, "date": _spell_date, "id": _spell_id, "text": _spell_text}.get(kind)
    if value is not None and spell is not None:
        item[field] = spell(value, chance)
    elif kind == "number" and value is not None:
        item[field] = f" {value} "


def _spell_flag(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, bool):
        return value
    words = ("true ", "YES", "on", "t", "Y", "Enabled", "1", 1) if value else ("False", "no", "OFF", "f", "n", "0", 0)
    return chance.choice(words)


def _spell_date(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, str) or not value.endswith("Z"):
        return value
    moment = datetime.fromisoformat(value)
    return chance.choice(
        [
            moment.timestamp(),
            str(int(moment.timestamp())),
            int(moment.timestamp()) * 1000,
            format_datetime(moment.astimezone(UTC), usegmt=True),
            moment.astimezone(timezone(timedelta(hours=3))).isoformat(),
            value.lower(),
            f" {value}",
            value.replace("T", " ").replace("Z", " UTC"),
            value.removesuffix("Z"),
        ]
    )


def _spell_id(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, int) or isinstance(value, bool):
        return value
    return chance.choice([str(value), float(value), f" {value} "])


def _spell_text(value: Any, chance: random.Random) -> Any:
    if not isinstance(value, str):
        return value
    return chance.choice([value.upper(), f" {value} ", value.replace(" ", "-"), value.replace(" ", "_").title()])


def _add_undocumented(api: SmallApi, account: str, chance: random.Random) -> None:
    """Items have a field that is documented nowhere; none says that it is deleted, which would be another truth."""
    field, value = chance.choice(UNDOCUMENTED)
    _, lists = _targets(api, account, chance)
    for items in lists:
        for item in map(_inside, items if chance.random() < 0.5 else [chance.choice(items)]):  # half
            item[field] = value


def _nest(api: SmallApi, account: str, chance: random.Random) -> None:
    """A backup's disk comes as an object."""
    for item in map(_inside, api.lists[f"/account/{account}/backups"]):
        if isinstance(item.get("disk_id"), int) and chance.random() < 0.7:  # most
            item["disk_id"] = {"id": item["disk_id"], "label": "x"}


def _wrap(api: SmallApi, account: str, chance: random.Random) -> None:
    """Items are wrapped in one key."""
    _, lists = _targets(api, account, chance)
    key = chance.choice(["disk", "backup", "item"])
    for items in lists:
        items[:] = [{key: item} if len(item) > 1 and chance.random() < 0.8 else item for item in items]


def _double(api: SmallApi, account: str, chance: random.Random) -> None:
    """An item comes twice."""
    items = chance.choice(_targets(api, account, chance)[1])
    items.insert(chance.randint(0, len(items)), copy.deepcopy(chance.choice(items)))


def _move(api: SmallApi, account: str, chance: random.Random) -> None:
    """Items stand in another order."""
    for items in _targets(api, account, chance)[1]:
        chance.shuffle(items)


def _leave_out(api: SmallApi, account: str, chance: random.Random) -> None:
    """The account's list of backups lacks those of some disks, which their own lists have."""
    path = f"/account/{account}/backups"
    without = chance.randint(1, DISKS)
    api.lists[path] = [item for item in api.lists[path] if _inside(item).get("disk_id") != without]


def _name_machines_only(api: SmallApi, account: str, chance: random.Random) -> None:
    """The account's list of backups names machines instead of disks, which have no list of their own perhaps."""
    is_all, has_own = chance.random() < 0.5, chance.random() < 0.5  # half
    for item in map(_inside, api.lists[f"/account/{account}/backups"]):
        if is_all or chance.random() < 0.5:  # half
            disk = item.get("disk_id")
            item.update(virtual_machine_id=500 + disk if isinstance(disk, int) else None, disk_id=None)
    for path in api.lists:
        if is_all and not has_own and path.startswith(f"/account/{account}/disk/"):
            api.lists[path] = []


def _mix_up(api: SmallApi, account: str, chance: random.Random) -> None:
    """A disk's own list has the backups of the others, which name no disk or one that is not listed."""
    path, name = f"/account/{account}/disk/{chance.randint(1, DISKS)}/backups", chance.choice([None, 99])
    items = copy.deepcopy(api.lists[f"/account/{account}/backups"])
    own = [item for item in items if f"/disk/{_inside(item).get('disk_id')}/" not in path]
    for item in map(_inside, own):
        item["disk_id"] = name
    api.lists[path] = own


# Spoils of pages


def _on_pages(change: Callable[[list[Any], Mapping[str, str], int, random.Random], Answer]) -> Spoil:
    """Return a spoil that changes some pages of a list."""

    def spoil(api: SmallApi, account: str, chance: random.Random) -> None:
        path = chance.choice([f"/account/{account}/disks", f"/account/{account}/backups"])
        which, always = chance.randint(0, 2), chance.random() < 0.7  # most, and some only once
        seen: list[int] = []

        def answer(query: Mapping[str, str]) -> Answer:
            items = api.lists[path]
            offset, limit = int(query.get("offset", 0)), int(query.get("limit", 20))
            headers = {"X-Total": str(len(items))}
            page = offset // max(limit, 1)
            if page != which or (seen and not always):
                return 200, items[offset : offset + limit], headers
            seen.append(page)
            return change(items, headers, offset, chance)

        api.answers[path] = answer

    return spoil


def _repeat_page(items: list[Any], headers: Mapping[str, str], offset: int, _chance: random.Random) -> Answer:
    begin = max(0, offset - PAGE)
    return 200, items[begin : begin + PAGE], headers


def _cut_page(items: list[Any], headers: Mapping[str, str], offset: int, chance: random.Random) -> Answer:
    return 200, items[offset : offset + PAGE][: chance.randint(0, PAGE - 1)], headers


def _cut_body(items: list[Any], headers: Mapping[str, str], offset: int, chance: random.Random) -> Answer:
    body = json.dumps(items[offset : offset + PAGE]).encode()
    return 200, body[: chance.randint(0, len(body) - 1)], headers


def _other_success(items: list[Any], headers: Mapping[str, str], offset: int, chance: random.Random) -> Answer:
    return chance.choice([201, 202, 203, 206]), items[offset : offset + PAGE], headers


def _shift(items: list[Any], headers: Mapping[str, str], offset: int, _chance: random.Random) -> Answer:
    return 200, items[offset + 1 : offset + 1 + PAGE], headers


MORE: tuple[Mapping[str, str], ...] = (
    {"X-Total": "45.0"},
    {"X-Total": "1,045"},
    {"X-Total": ""},
    {"X-Total": "many", "X-Per-Page": "3"},
    {"X-Total-Pages": "2", "X-Per-Page": str(PAGE)},
    {"X-Total-Pages": "4"},
    {"Content-Range": "items 0-2/45"},
    {"Link": '</next>; rel="next"'},
)
"""Headers that say that there is more than a page, or might."""


def _change_headers(api: SmallApi, account: str, chance: random.Random) -> None:
    """Headers are missing, wrong or lie; or the first page comes always, and they say that there is more."""
    path = f"/account/{account}/{chance.choice(['disks', 'backups', 'virtual_machines'])}"
    is_repeated, more, way = chance.random() < 0.5, chance.choice(MORE), chance.randint(0, 6)

    def answer(query: Mapping[str, str]) -> Answer:
        items = api.lists[path]
        if is_repeated:
            return 200, items[:PAGE], more
        offset, total = int(query.get("offset", 0)), len(items)
        page = items[offset : offset + min(PAGE, int(query.get("limit", PAGE)))]
        lies = (
            more,
            {},
            *({"X-Total": text} for text in (str(len(page)), f"{total}, {total}", "1", "0", str(total + 9))),
        )
        return 200, page, lies[way]

    api.answers[path] = answer


def _hide_disks(api: SmallApi, account: str, chance: random.Random) -> None:
    """Answer as to a credential that may see no disks, and little else."""
    for name in ("virtual_machines", *chance.sample(("backups",), chance.randint(0, 1))):
        api.answers[f"/account/{account}/{name}"] = partial(_reject, chance.choice([400, 403, 404]))
    api.lists[f"/account/{account}/disks"] = []


def _reject(status: int, query: Mapping[str, str]) -> Answer:
    del query
    return status, {"error": "no"}, {}


SPOILS: Mapping[str, Spoil] = {
    "field missing": _on_items(_drop),
    "field null": _on_items(_null),
    "field of another type": _on_items(_other_type),
    "field under another name": _on_items(_rename),
    "field spelled otherwise": _on_items(_spell),
    "undocumented field": _add_undocumented,
    "disk nested": _nest,
    "items wrapped": _wrap,
    "item doubled": _double,
    "items moved": _move,
    "backups left out": _leave_out,
    "machines named only": _name_machines_only,
    "lists mixed up": _mix_up,
    "headers": _change_headers,
    "page repeated": _on_pages(_repeat_page),
    "page cut": _on_pages(_cut_page),
    "body cut": _on_pages(_cut_body),
    "page with another success": _on_pages(_other_success),
    "page moved": _on_pages(_shift),
    "disks hidden": _hide_disks,
}


def spoil_fleet(api: SmallApi, account: str, chance: random.Random) -> tuple[str, ...]:
    """Spoil an account's lists in one to three ways; return which."""
    chosen = tuple(chance.sample(sorted(SPOILS), chance.choice([1, 1, 2, 3])))
    for name in sorted(chosen, key=lambda each: each == "disks hidden"):  # of no disks nothing can be spoilt
        SPOILS[name](api, account, chance)
    return chosen
