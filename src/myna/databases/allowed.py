"""Which databases a data folder or a file of corrections may name: those in the folder, and those the user named.

Somebody else may have written such a file. If what it names were simply opened, it would choose which server gets the
passwords in `PGPASSWORD`, `~/.pgpass` and `MYSQL_PWD`, and which files of this machine are read. So a place that comes
from a file is opened only if

- it is a path inside the data folder, all links followed; or
- the user has named it on this machine: by making data of it (`myna data database`, `myna data files --databases`), by
  correcting an answer about it (`\\good` and `\\fix` of `myna ask`), or by `myna data allow ADDRESS`.

A server counts as named with exactly the host, port and connection options (TLS, authentication, files) that were
typed; user and database may differ. Loopback addresses are no exception: anything may listen there. What the user types
on a command line or passes to `Database.open` is opened as it is.

What was named is kept in a file of the user's own, because a data folder can't vouch for itself, and because a flag
would have to be repeated with every command that reads a data folder. It is `myna/databases.jsonl` in the folder of
what programs remember, `$XDG_STATE_HOME` or `~/.local/state`: one JSON string a line, without users and passwords.
Deleting a line takes it back.
"""

from __future__ import annotations

import json
import os
import shlex
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from myna.databases.address import Address, may_hold_a_password
from myna.databases.server_url import ServerUrl
from myna.errors import DatabaseError, RunError


def state_folder() -> Path:
    """Return the folder of what Myna remembers for this user (XDG Base Directory Specification)."""
    named = os.environ.get("XDG_STATE_HOME", "")
    return (Path(named) if Path(named).is_absolute() else Path.home() / ".local" / "state") / "myna"


def allowed_file() -> Path:
    """Return the file that keeps what the user has named."""
    return state_folder() / "databases.jsonl"


def allow(*places: str) -> tuple[str, ...]:
    """Remember that the user has named these places, so that data folders and corrections may name them too.

    places: as `Address.place` has them. Returns what is kept of each. Raises `RunError` when that can't be kept.
    """
    entries = tuple(map(_entry, places))
    known = set(_entries())
    new = dict.fromkeys(entry for entry in entries if entry not in known)
    if not new:
        return entries
    path = allowed_file()
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
            file.write("".join(f"{json.dumps(entry)}\n" for entry in new).encode())
    except OSError as error:
        raise RunError(
            f"{path}: can't be written ({error.strerror}), so it can't be remembered that {', '.join(new)} may be "
            "opened; set XDG_STATE_HOME to a folder that you may write to"
        ) from error
    return entries


def place_in_data(place: str, folder: Path, *, where: str) -> str:
    """Return what `Database.open` takes for a place that the data folder `folder` names: a URL or an absolute path.

    where: file and name, which an error begins with. Nothing is looked at before it is known to be allowed.

    Raises `DatabaseError` when it is not, with the command that allows it, and `RunError` when the list of what the
    user has named can't be read.
    """
    return _checked(place, folder, where)


def place_in_corrections(place: str, *, where: str) -> str:
    """Return the same for a place that a file of corrections names. No folder belongs to that file."""
    return _checked(place, None, where)


def path_in_data(path: str, folder: Path, *, where: str) -> Path:
    """Return the absolute path of a file or folder that goes with a database and that the data folder names.

    Raises `DatabaseError` as `place_in_data` does.
    """
    return Path(_checked_path(path, folder, where))


def shown_place(place: str) -> str:
    """Return what may be shown of a place in a file: all but a password."""
    if "://" not in place:
        return "an address that seems to hold a password" if may_hold_a_password(place) else place
    try:
        return Address.parse(place).shown
    except DatabaseError:
        return f"{place.partition('://')[0]}://…"


def _checked(place: str, folder: Path | None, where: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Cf") for character in place):
        raise DatabaseError(f"{where} has an address with a control character, so it is not opened")
    if "://" not in place:
        return _checked_path(place, folder, where)
    try:
        address = Address.parse(place)
    except DatabaseError as error:
        raise DatabaseError(f"{where}: {error}") from None
    if not address.is_server:
        return _checked_path(address.location, folder, where)
    if address.location != address.shown:
        raise DatabaseError(
            f"{where} has an address with a password, which would go wherever the file goes; take it out of there and "
            f"set {'PGPASSWORD' if address.kind == 'postgres' else 'MYSQL_PWD'} instead"
        )
    _check_server(address, where)
    return address.location


def _check_server(address: Address, where: str) -> None:
    server = ServerUrl.of(address)
    entries = set(_entries())
    if server.connection in entries:
        return
    of_this_server = server.connection.partition("?")[0]
    if any(entry.partition("?")[0] == of_this_server for entry in entries):
        unused = "which you have used on this machine with other connection options only"
    else:
        unused = "which you have not used on this machine"
    if server.files:
        next_step = (
            f"Its {' and '.join(server.files)} would read files of this machine: take that out; or, if you have "
            "written it yourself, give the whole address to myna data allow"
        )
    else:
        next_step = f"If you trust that server with your password: {_command(address.shown)}"
    raise DatabaseError(f"{where} is on the server {server.place}, {unused}, so nothing was sent there. {next_step}")


def _checked_path(place: str, folder: Path | None, where: str) -> str:
    if folder is None:
        path = os.path.abspath(os.path.expanduser(place))
        allowed, outside = path in _entries(), path
    else:
        path = os.path.abspath(folder / place)
        allowed, outside = _is_allowed(path, folder)
    if may_hold_a_password(place) and not (allowed and os.path.lexists(path)):
        raise DatabaseError(f"{where} has an address that seems to hold a password, so it is neither opened nor shown")
    if allowed:
        return path
    what = f"is {outside}" if outside == path else f"is a link to {outside}"
    of_folder = "" if folder is None else f" outside of {folder}"
    raise DatabaseError(
        f"{where} {what}, a file{of_folder} that you have not used on this machine, so it is not opened. If you want "
        f"it to be: {_command(outside)}"
    )


def _is_allowed(path: str, folder: Path) -> tuple[bool, str]:
    """Return whether `folder` may name this absolute path, and otherwise what stands in the way."""
    entries = set(_entries())
    if path in entries:
        return True, path
    inside = os.path.realpath(folder)
    if not (_is_below(path, os.path.abspath(folder)) or _is_below(path, inside)):
        return False, path
    for real in _behind(path):
        if not _is_below(real, inside) and real not in entries:
            return False, real
    return True, path


def _behind(path: str) -> Iterator[str]:
    """Yield where a path leads, and, of a folder of tables, where each file in it does."""
    yield os.path.realpath(path)
    if os.path.isdir(path):
        with suppress(OSError):  # said when it is opened
            for name in sorted(os.listdir(path)):
                yield os.path.realpath(os.path.join(path, name))


def _is_below(path: str, folder: str) -> bool:
    path, folder = os.path.normcase(path), os.path.normcase(folder)
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def _command(place: str) -> str:
    return f"myna data allow {shlex.quote(place)}"


def _entry(place: str) -> str:
    """Return what is kept of a place: of a server, all but user, password and database."""
    return ServerUrl.of(Address.parse(place)).connection if "://" in place else os.path.abspath(place)


def _entries() -> list[str]:
    """Return what the user has named. Raises `RunError` when that can't be read."""
    path = allowed_file()
    try:
        lines = path.read_text("utf-8").splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return []
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path}: can't be read ({error}), which lists the databases that you have used; make it readable, or "
            "remove it"
        ) from error
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:  # a line that another process is writing
            continue
        if isinstance(entry, str):
            entries.append(entry)
    return entries
