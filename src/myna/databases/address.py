"""Where a database is: what a person types (a path or URL) → its kind, what a driver needs, and what may be shown.

Passwords go into `location` and nowhere else: not into `shown`, the `repr` or an error's text. A URL is therefore
read strictly, and a part of it that can't be told from a piece of a password is refused without being repeated.
Opens nothing, but reads a file's first bytes where its name does not say enough.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias
from urllib.parse import quote, unquote

from myna.errors import DatabaseError, did_you_mean

DatabaseKind: TypeAlias = Literal["sqlite", "postgres", "mysql", "duckdb", "files"]

TABLE_FILES = (".csv", ".tsv", ".parquet", ".json", ".jsonl", ".ndjson")
"""Endings of files that are a table each. All but Parquet may have `.gz` behind them."""

_SCHEMES: Mapping[str, DatabaseKind] = {
    "sqlite": "sqlite",
    "postgresql": "postgres",
    "postgres": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "duckdb": "duckdb",
}
_ENDINGS: Mapping[str, DatabaseKind] = {
    ".db": "sqlite",
    ".sqlite": "sqlite",
    ".sqlite3": "sqlite",
    ".duckdb": "duckdb",
    ".ddb": "duckdb",
}
_OF_SEVERAL_KINDS = (".db",)
# What may stand after "?" in a server's URL, by the names of libpq and PyMySQL. Those that hold a secret are passed
# on but never shown. libpq's `options` is left out: it could carry any setting, secrets too.
_SECRETS = {"postgres": {"password", "sslpassword"}, "mysql": {"password", "passwd", "ssl_key_password"}}
_PARAMETERS = {
    "postgres": {
        *("host", "hostaddr", "port", "user", "dbname", "passfile", "connect_timeout", "application_name"),
        *("sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslcrl", "ssl_min_protocol_version"),
        *("channel_binding", "gssencmode", "krbsrvname", "target_session_attrs", "require_auth"),
        *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
        "functions",  # for us: those of the database's owner that may run
    },
    "mysql": {
        *("unix_socket", "user", "charset", "connect_timeout", "read_default_file", "read_default_group"),
        *("ssl_ca", "ssl_cert", "ssl_key", "ssl_disabled", "ssl_verify_cert", "ssl_verify_identity"),
    },
}
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(//)?(.*)", re.DOTALL)  # a single letter is a Windows drive
_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+(?:%25[\w.-]+)?\]|(?:[\w.-]|%[0-9A-Fa-f]{2})*)(?::([0-9]{0,5}))?")
# user:password@host, password=…, and a line of .pgpass: host:port:database:user:password
_CREDENTIALS = re.compile(
    r":[^@]*@|(?:pass(?:word|wd|phrase)?|pwd|pw|secret|token)[\"']?\s*[=:]|^[^:/\s]+:(?:\d+|\*):[^:]*:[^:]*:.",
    re.IGNORECASE,
)
_ENCODE = 'encode special characters of names and passwords: "@" as %40, ":" as %3A, "/" as %2F, "?" as %3F, "&" as %26'
_EXPECTED = (
    "expected the path of an SQLite or DuckDB file, of a CSV, TSV, Parquet or JSON file or a folder of these, or a "
    "URL: sqlite:///FILE, duckdb:///FILE, postgresql://USER@HOST/DATABASE, mysql://USER@HOST/DATABASE"
)


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed address. `location` may hold a password and is never shown; `shown` never holds one.

    location: an absolute path, or for servers a URL (`postgresql://…`, `mysql://…`) with every part percent-encoded.
    shown: what was typed without its secrets. It can be parsed again and then means the same database; a password that
    is needed is then found by the driver (`PGPASSWORD`, `~/.pgpass`, `MYSQL_PWD`, `read_default_file`).
    """

    kind: DatabaseKind
    location: str = field(repr=False)
    shown: str

    @property
    def is_server(self) -> bool:
        """Whether a server is asked, not a file."""
        return self.kind in ("postgres", "mysql")

    @property
    def place(self) -> str:
        """What files such as `data.json` hold: a URL without its password, or an absolute path."""
        return self.shown if self.is_server else self.location

    @classmethod
    def parse(cls, text: str | Path) -> Address:
        """Return the address in `text`. Raises `DatabaseError` for one that names no kind we know.

        Whether the database is there is seen when it is opened; only a path whose name does not tell its kind
        must exist, because then its content has to.
        """
        typed = str(text)
        if "\0" in typed or not typed.strip():
            raise DatabaseError(f"the database's address is empty or holds a NUL character; {_EXPECTED}")
        url = _URL.fullmatch(typed.strip())
        if url is not None:
            scheme, slashes, rest = url.group(1).lower(), url.group(2), url.group(3)
            kind = _SCHEMES.get(scheme.partition("+")[0])  # postgresql+psycopg2: the driver is our choice
            if slashes and kind is None:
                suggestion = did_you_mean(scheme, _SCHEMES)
                raise DatabaseError(f"{scheme}:// is no kind of database that Myna knows{suggestion}; {_EXPECTED}")
            if kind is not None and not slashes:
                raise DatabaseError(
                    f"an address that begins with {scheme}: needs :// after it (and must be given as text: a Path "
                    f"loses one slash); {_EXPECTED}"
                )
            if kind == "postgres" or kind == "mysql":  # noqa: PLR1714 -- mypy narrows this, and not `in`
                return _server(kind, rest)
            if kind is not None:
                return _file_of_url(kind, rest)
        return _path(typed)


def _file_of_url(kind: DatabaseKind, rest: str) -> Address:
    """Read what follows `sqlite://` or `duckdb://`: one more slash and a path, as in SQLAlchemy's URLs."""
    path = rest.removeprefix("/")
    if not rest.startswith("/") or path in ("", ":memory:") or "?" in path:
        raise DatabaseError(
            f"{kind}:// needs the path of a file and nothing else: {kind}:///FILE, or {kind}:////FOLDER/FILE "
            "from the root; databases in memory, users, hosts and ?parameters have no meaning here"
        )
    if _seems_to_hold_a_password(path):
        raise DatabaseError(
            f"{kind}:// address: no such file, and it is not repeated here because it seems to hold a password; "
            f"{kind}:// takes the path of a file, without a user: {kind}:///FILE"
        )
    return Address(kind, _absolute(path), f"{kind}:///{path}")


def _path(typed: str) -> Address:
    location = _absolute(typed)
    exists = os.path.lexists(location)
    if _seems_to_hold_a_password(typed):
        raise DatabaseError(
            f"the address seems to hold a password but does not begin with postgresql:// or mysql://; {_EXPECTED}"
        )
    kind = _kind_of_folder(location, typed) if os.path.isdir(location) else _kind_of_file(location)
    if kind is None:
        reason = "its name and content don't say what it is" if exists else "no such file"
        raise DatabaseError(f"{typed}: {reason}; {_EXPECTED}")
    return Address(kind, location, typed)


def _seems_to_hold_a_password(path: str) -> bool:
    """Return whether a path that leads nowhere may be a misspelt address of a server. It must not be repeated then."""
    return not os.path.lexists(_absolute(path)) and may_hold_a_password(path)


def may_hold_a_password(text: str) -> bool:
    """Return whether a text that is no URL of a server looks as if it held a password. Looks at no file."""
    return any(map(_CREDENTIALS.search, (text, unquote(text))))


def _absolute(path: str) -> str:
    return os.path.abspath(os.path.expanduser(path))


def is_table_file(name: str) -> bool:
    """Return whether a file of this name is a table of a folder of files."""
    lowered = name.lower()
    return lowered.endswith(TABLE_FILES) or lowered.endswith(
        tuple(f"{ending}.gz" for ending in TABLE_FILES if ending != ".parquet")
    )


def _kind_of_folder(location: str, typed: str) -> DatabaseKind:
    try:
        names = os.listdir(location)
    except OSError as error:
        raise DatabaseError(f"{typed}: the folder can't be read ({error.strerror})") from error
    if any(is_table_file(name) and not name.startswith(".") for name in names):
        return "files"
    raise DatabaseError(f"{typed}: a folder without any {', '.join(TABLE_FILES)} file; {_EXPECTED}")


def _kind_of_file(location: str) -> DatabaseKind | None:
    """Return the kind by the file's ending, or by its first bytes where the ending does not tell."""
    ending = os.path.splitext(location)[1].lower()
    kind = "files" if is_table_file(location) else _ENDINGS.get(ending)
    if (kind is None or ending in _OF_SEVERAL_KINDS) and os.path.isfile(location):
        beginning = _first_bytes(location)
        if beginning == b"SQLite format 3\0":
            return "sqlite"
        if beginning[8:12] == b"DUCK":
            return "duckdb"
        if beginning[:4] == b"PAR1":
            return "files"
    return kind


def _first_bytes(location: str) -> bytes:
    """Read the first 16 bytes of a file, in another process; none when they can't be read.

    In this one, closing the file would drop every lock that another connection of this process holds on it, and what
    keeps writers of SQLite and DuckDB apart are such locks (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    import subprocess  # not before it is needed: the worker process has to start fast

    program = "import sys; sys.stdout.buffer.write(open(sys.argv[1], 'rb').read(16))"
    read = subprocess.run([sys.executable, "-I", "-S", "-c", program, location], capture_output=True, check=False)
    return read.stdout


def _server(kind: Literal["postgres", "mysql"], rest: str) -> Address:
    """Read `[user[:password]@]host[:port][/database][?name=value&…]`. No message repeats anything of it."""
    scheme = "postgresql" if kind == "postgres" else "mysql"

    def wrong(what: str) -> DatabaseError:
        return DatabaseError(f"{scheme}:// address: {what}; expected {scheme}://USER@HOST:PORT/DATABASE, and {_ENCODE}")

    if not rest.isprintable() or " " in rest:
        raise wrong("it holds a space or a control character")
    before_query, _, query = rest.partition("?")
    authority, _, database = before_query.partition("/")
    credentials, at, host_and_port = authority.rpartition("@")
    if "@" in database or "@" in query or "/" in database:
        raise wrong('there is an "@" or "/" where none can stand')
    host = _HOST.fullmatch(host_and_port)
    if host is None:
        raise wrong("host or port can't be read (a port is a number, and IPv6 stands in brackets)")
    user, colon, password = credentials.partition(":")
    try:
        user, password, database = (_decode(part) for part in (user, password, database))
        parameters = _parameters(kind, query)
    except ValueError as error:
        raise wrong(str(error)) from None
    if ":" in user:
        raise wrong("the user's name holds a colon")
    if kind == "mysql" and not database:
        raise wrong("it names no database")
    place = host.group(1) + (f":{int(host.group(2))}" if host.group(2) else "")

    def url(login: str, chosen: Mapping[str, str]) -> str:
        text = f"{scheme}://{login}{place}/{_encode(database)}"
        return text + ("?" if chosen else "") + "&".join(f"{name}={_encode(chosen[name], '/')}" for name in chosen)

    public = {name: value for name, value in parameters.items() if name not in _SECRETS[kind]}
    login = _encode(user) + (f":{_encode(password)}" if colon else "") + at
    return Address(kind, url(login, parameters), url(_encode(user) + "@" if user else "", public))


def _parameters(kind: Literal["postgres", "mysql"], query: str) -> dict[str, str]:
    """Read what follows "?". Raises `ValueError`, with a text that repeats none of it."""
    known = _PARAMETERS[kind] | _SECRETS[kind]
    parameters = {}
    for part in query.split("&") if query else []:
        name, equals, value = part.partition("=")
        if name not in known or not equals:
            # Not repeated: a password with a raw "&" would put its second half here.
            suggestion = did_you_mean(name, known)
            raise ValueError(f"it has a parameter that is not known{suggestion} (known: {', '.join(sorted(known))})")
        parameters[name] = _decode(value)
    return parameters


def _encode(text: str, safe: str = "") -> str:
    return quote(text, safe=safe)


def _decode(text: str) -> str:
    try:
        decoded = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("its percent-encoding is no UTF-8") from None
    if not decoded.isprintable():
        raise ValueError("it holds a control character")
    return decoded
