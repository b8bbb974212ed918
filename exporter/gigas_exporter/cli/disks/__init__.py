"""``disks``: the API's disk operations for people."""

from __future__ import annotations

import click

from gigas_exporter.cli.disks.read import backups, list_disks, show
from gigas_exporter.cli.disks.write import backup, build, delete, edit, template
from gigas_exporter.cli.messages import CommandGroup

__all__ = ["disks"]


@click.group(cls=CommandGroup)
def disks() -> None:
    """Show and change disks.

    Commands that change something show the disk, say what will happen, and ask.
    """


for _command in (list_disks, show, backups, backup, template, edit, build, delete):
    disks.add_command(_command)
