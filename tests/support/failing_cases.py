"""Faults of the API that must fail a poll."""

from __future__ import annotations

from support.fault_cases import Failing

SMALL_PAGES = {"page_size": 5}

CASES = (
    # no response, in time or at all
    Failing("hang", "timeout", "timeout", retried=True),
    Failing("latency", "timeout", "timeout", retried=True, parameters={"seconds": 2.0}),
    Failing("drip_headers", "timeout", "timeout", retried=True, parameters={"seconds": 0.02}),
    Failing("drip_body", "timeout", "timeout", retried=True, parameters={"seconds": 0.02}),
    Failing("reset", "connection", "connection", retried=True),
    Failing("close", "connection", "connection", retried=True),
    Failing("truncated", "connection", "connection", retried=True),
    # rejections
    *(
        Failing("status", "auth", "401", operation=each, parameters={"status": 401})
        for each in ("list_disks", "list_backups")
    ),
    *(
        Failing(
            "status",
            "forbidden",
            "403",
            operation=each,
            parameters={"status": 403},
            # With the source auto, backups are read disk by disk instead.
            source="account" if each == "list_backups" else "auto",
        )
        for each in ("list_disks", "list_backups")
    ),
    *(Failing("status", "other", str(status), parameters={"status": status}) for status in (400, 404, 405, 418)),
    Failing("redirect", "other", "302"),
    # rate limits
    *(
        Failing("status", "rate_limited", "429", retried=True, parameters={"status": 429, "retry_after": asked})
        for asked in (None, "1", "soon", "1.5", "-5")
    ),
    Failing("status", "rate_limited", "429", parameters={"status": 429, "retry_after": "3600"}),
    Failing("status", "server", "503", retried=True, parameters={"status": 503, "retry_after": "1"}),
    Failing("status", "server", "503", parameters={"status": 503, "retry_after": "Fri, 31 Dec 2099 23:59:59 GMT"}),
    # server errors
    *(
        Failing("status", "server", str(status), retried=True, parameters={"status": status})
        for status in (500, 502, 599)
    ),
    Failing("status", "server", "501", parameters={"status": 501}),
    Failing("status", "server", "500", operation="list_backups", parameters={"status": 500}),
    Failing("status", "server", "500", operation="list_virtual_machines", parameters={"status": 500}),
    Failing("status", "server", "500", operation="list_disk_backups", parameters={"status": 500}, source="disk"),
    Failing("hang", "timeout", "timeout", operation="list_disk_backups", source="disk", retried=True),
    # bodies
    *(
        Failing(kind, "invalid", "invalid")
        for kind in (
            "truncated_unframed",
            "html",
            "empty",
            "truncated_json",
            "not_an_array",
            "deep_nesting",
            "invalid_utf8",
            "long_number",
        )
    ),
    *(Failing(kind, "invalid", "invalid", computes=True) for kind in ("gzip_bomb", "huge_body", "crowded_body")),
    Failing("html", "invalid", "invalid", operation="list_backups"),
    Failing("not_an_array", "invalid", "invalid", operation="list_virtual_machines"),
    Failing("truncated_json", "invalid", "invalid", operation="list_disk_backups", source="disk"),
    # lists
    *(
        Failing(kind, "incomplete", "200", operation=each, parameters={"field": "id"})
        for kind in ("wrong_types", "nulls")
        for each in ("list_disks", "list_backups", "list_virtual_machines")
    ),
    Failing("lying_total", "incomplete", "200", parameters={"size": 1_000_000}),
    Failing("lying_total", "incomplete", "200", parameters={"size": 100}),
    # One item less than the total would be accepted at the third poll.
    Failing("moving_items", "incomplete", "200", parameters={"size": 2}, api=SMALL_PAGES),
    Failing("moving_items", "incomplete", "200", operation="list_backups", parameters={"size": 2}, api=SMALL_PAGES),
    # The limit on pages or the poll's deadline is reached first, depending on speed.
    Failing(
        "endless_pages",
        "incomplete",
        "200",
        parameters={"value": "fresh"},
        api=SMALL_PAGES,
        or_reason="timeout",
    ),
    # logins
    Failing("status", "auth", "401", operation="create_token", parameters={"status": 401}, login=True),
    Failing("status", "server", "500", operation="create_token", parameters={"status": 500}, login=True, retried=True),
    Failing("hang", "timeout", "timeout", operation="create_token", login=True),
    Failing("html", "invalid", "invalid", operation="create_token", login=True),
    Failing("expired_token", "auth", "200", operation="create_token", login=True),
)

# Each part has its own test file, so that two processes can run them.
UNREADABLE = tuple(case for case in CASES if case.reason in {"invalid", "incomplete"})
UNANSWERED = tuple(case for case in CASES if case not in UNREADABLE)
