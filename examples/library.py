"""Print the disks of an account and how many backups each has.

usage: GIGAS_ACCOUNT_ID=4242 GIGAS_API_KEY_FILE=key python library.py
"""

import os
from pathlib import Path

from gigas_exporter.errors import GigasError
from gigas_exporter.gigas import DEFAULT_URL, ApiKeyCredential, ApiSettings, ReadClient, SecretFile


def main() -> None:
    """Read the disk list, then each disk's backups."""
    account = os.environ["GIGAS_ACCOUNT_ID"]
    settings = ApiSettings(url=os.environ.get("GIGAS_API_URL", DEFAULT_URL))
    credential = ApiKeyCredential(SecretFile(Path(os.environ["GIGAS_API_KEY_FILE"])))
    with ReadClient(settings, credential) as client:
        try:
            for disk in client.list_disks(account).items:
                backups = client.list_disk_backups(account, disk.id)
                print(disk.id, disk.mount_point, disk.size_bytes, len(backups.items))
        except GigasError as error:  # every error that leaves the client
            raise SystemExit(f"{error} ({error.reason})") from None


if __name__ == "__main__":
    main()
