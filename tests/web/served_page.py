"""A server in a process of its own, for tests that measure its memory or processor or take its descriptors away.

It prints its port, and then answers with a page (from a thread where there is a query) until its stdin ends.
"""

from __future__ import annotations

import argparse
import asyncio
import resource
import sys
import time
from pathlib import Path

from gigas_exporter.web import Request, Response, Server, ServerLimits, load_web_config


def main() -> None:
    """Serve until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--page-bytes", type=int, default=5_000_000)
    parser.add_argument("--head-seconds", type=float, default=5.0)
    parser.add_argument("--request-seconds", type=float, default=30.0)
    parser.add_argument("--connections", type=int)
    parser.add_argument("--descriptors", type=int)
    parser.add_argument("--web-config", type=Path)
    arguments = parser.parse_args()
    page = (b"#" * arguments.page_bytes,)

    async def handler(request: Request) -> Response:
        if request.query:
            await asyncio.to_thread(time.sleep, 0.001)
        return Response(200, {"Content-Type": "text/plain; version=0.0.4"}, page)

    limits = ServerLimits(arguments.head_seconds, arguments.request_seconds, connections=arguments.connections)
    web_config = load_web_config(arguments.web_config) if arguments.web_config is not None else None
    server = Server([("127.0.0.1", 0)], handler, web_config, limits=limits)
    if arguments.descriptors is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (arguments.descriptors, arguments.descriptors))
    server.start()
    print(server.address[1], flush=True)  # noqa: T201  (how the port is told)
    sys.stdin.read()
    server.close(1)


if __name__ == "__main__":
    main()
