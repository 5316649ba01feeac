"""`myna data allow`: let data folders and corrections name a database that is not in them."""

from __future__ import annotations

import sys
from typing import Any

from myna.cli.flags import COMMON, Common
from myna.cli.terminal import show_text


def allow(database: str, /, *, common: Common = COMMON) -> dict[str, Any]:
    """Let data folders and files of corrections name a database server, or a file outside of the data folder.

    Whoever writes a data folder could otherwise choose which server gets your
    password, or which of your files are read. A server is allowed with the
    host, port and connection options that you type; user and database may
    differ. What you make data of yourself, or correct answers about, is allowed
    already. Nothing is opened or sent.

    Parameters
    ----------
    database
        A file or folder, or a URL without its password: postgresql://USER@HOST:PORT/DATABASE, mysql://…
    """
    from myna.databases.address import Address
    from myna.databases.allowed import allow as allow_places
    from myna.databases.allowed import allowed_file

    (entry,) = allow_places(Address.parse(database).place)
    show_text(f"Data folders and corrections may name {entry} now.\nTo take that back, delete its line in ", sys.stdout)
    show_text(f"{allowed_file()}.\n", sys.stdout)
    return {"allowed": entry, "file": str(allowed_file())}
