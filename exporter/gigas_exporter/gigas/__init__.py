"""The client of the Gigas API.

It can be used without the exporter::

    from pathlib import Path
    from gigas_exporter.gigas import ApiKeyCredential, ApiSettings, ReadClient, SecretFile

    with ReadClient(ApiSettings(), ApiKeyCredential(SecretFile(Path("/run/secrets/gigas")))) as client:
        for disk in client.list_disks("4242").items:
            print(disk.id, disk.mount_point, disk.size_bytes)

:class:`ReadClient` cannot change anything; :class:`Client` can. Every error is one of :mod:`gigas_exporter.errors`.
A change can be built and shown first, and sent later::

    request = edit_disk_request("4242", "1001", disk_size=40)
    print(request.method, request.target, request.json)
    client.send(request)
"""

from gigas_exporter.gigas.api_requests import (
    ApiRequest,
    build_disk_request,
    create_backup_request,
    create_template_request,
    delete_disk_request,
    edit_disk_request,
)
from gigas_exporter.gigas.client import DEFAULT_DEADLINE_SECONDS, ReadClient
from gigas_exporter.gigas.connect import TrustStore
from gigas_exporter.gigas.credentials import (
    ApiKeyCredential,
    Credential,
    FixedSecret,
    LoginCredential,
    SecretFile,
    SecretSource,
    TokenCredential,
)
from gigas_exporter.gigas.http_response import RawResponse
from gigas_exporter.gigas.login import LoginStates
from gigas_exporter.gigas.page_reader import Listing
from gigas_exporter.gigas.ratelimit import RateLimiter
from gigas_exporter.gigas.settings import DEFAULT_URL, ApiSettings, Observer
from gigas_exporter.gigas.write_client import ChangeResult, Client

__all__ = [
    "DEFAULT_DEADLINE_SECONDS",
    "DEFAULT_URL",
    "ApiKeyCredential",
    "ApiRequest",
    "ApiSettings",
    "ChangeResult",
    "Client",
    "Credential",
    "FixedSecret",
    "Listing",
    "LoginCredential",
    "LoginStates",
    "Observer",
    "RateLimiter",
    "RawResponse",
    "ReadClient",
    "SecretFile",
    "SecretSource",
    "TokenCredential",
    "TrustStore",
    "build_disk_request",
    "create_backup_request",
    "create_template_request",
    "delete_disk_request",
    "edit_disk_request",
]
