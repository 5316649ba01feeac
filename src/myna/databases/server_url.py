"""The parts of a server's address, as its driver takes them, and errors about it that hold no password.

A password is never sent in clear text without TLS, whoever typed the address: whatever answers at its host and port
could otherwise ask for it. PostgreSQL's side of that is here, MySQL's in `mysql_passwords`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import quote, unquote

from myna.databases.address import Address
from myna.errors import DatabaseError, MissingDependency

_PARTS = re.compile(
    r"\w+://(?:(?P<user>[^:@]*)(?P<password>:[^@]*)?@)?(?P<host>\[[^]]*\]|[^:/]*)(?::(?P<port>\d+))?/(?P<database>[^?]*)"
    r"(?:\?(?P<parameters>.*))?"
)
_SECRETS = ("password", "passwd", "sslpassword", "ssl_key_password")

_FIRST_LIBPQ = 160_000
"""16, the first version that knows `require_auth`."""
_ENCRYPTED = ("require", "verify-ca", "verify-full")
"""Values of `sslmode` with which nothing is sent without TLS."""
_NOT_IN_CLEAR_TEXT = ("scram-sha-256", "md5", "gss", "sspi", "none")
"""What a server may ask for without TLS, in the words of `require_auth`: all but `password` and `oauth`."""
_HARMLESS = (
    *("host", "port", "user", "dbname", "charset", "connect_timeout", "application_name", "target_session_attrs"),
    *("keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout"),
)
"""Parameters that change neither how a connection is secured nor, beyond host and port, where it goes."""
_FILES = (
    *("passfile", "sslrootcert", "sslcert", "sslkey", "sslcrl"),
    *("read_default_file", "read_default_group", "ssl_ca", "ssl_cert", "ssl_key", "unix_socket"),
)
_REDIRECTIONS = ("PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR", "PGOPTIONS")
"""Environment variables that would lead to another server than the address names, or change the session."""


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A server's address, decoded. Nothing but `shown` may be shown."""

    shown: str
    user: str | None = field(repr=False)
    password: str | None = field(repr=False)
    host: str = field(repr=False)
    port: int | None = field(repr=False)
    database: str = field(repr=False)
    parameters: dict[str, str] = field(repr=False)

    @classmethod
    def of(cls, address: Address) -> Self:
        """Take `address.location` apart, which `Address.parse` has brought into one form."""
        match = _PARTS.fullmatch(address.location)
        assert match is not None
        password, port = match["password"], match["port"]
        pairs = [part.partition("=") for part in (match["parameters"] or "").split("&") if part]
        return cls(
            shown=address.shown,
            user=unquote(match["user"]) if match["user"] else None,
            password=unquote(password[1:]) if password else None,
            host=unquote(match["host"].strip("[]")),
            port=int(port) if port else None,
            database=unquote(match["database"]),
            parameters={name: unquote(value) for name, _, value in pairs},
        )

    @property
    def functions(self) -> tuple[str, ...]:
        """The functions of the database's owner, as schema.name, that the address allows to run (PostgreSQL)."""
        return tuple(name for name in self.parameters.get("functions", "").split(",") if name)

    @property
    def place(self) -> str:
        """Host (or Unix socket) and port, for a person."""
        host, port = self._host_and_port()
        return f"[{host}]:{port}" if ":" in host else f"{host or 'localhost'}:{port}"

    @property
    def connection(self) -> str:
        """All that determines which server is connected to and how, but for user, password and database, as a URL.

        Of two addresses with equal ones, either goes to the same server in the same way.
        """
        host, port = self._host_and_port()
        options = {name: value for name, value in self.parameters.items() if name not in (*_HARMLESS, *_SECRETS)}
        said = "&".join(f"{name}={quote(options[name], safe='/')}" for name in sorted(options))
        scheme = "postgresql" if self.is_postgres else "mysql"
        return f"{scheme}://{quote(host, safe='')}:{port}" + (f"?{said}" if said else "")

    @property
    def files(self) -> list[str]:
        """Names of its parameters that are files of this machine."""
        return [name for name in _FILES if name in self.parameters]

    @property
    def is_postgres(self) -> bool:
        """Whether its driver is libpq."""
        return self.shown.startswith("postgresql:")

    def _host_and_port(self) -> tuple[str, str]:
        """Return what the driver takes, where the address says nothing too."""
        if not self.is_postgres:
            return self.host.lower() or "localhost", str(self.port or 3306)
        host = self.parameters.get("host") or self.host or os.environ.get("PGHOST", "")
        port = self.parameters.get("port") or self.port or os.environ.get("PGPORT") or 5432
        return (host if host.startswith("/") else host.lower()), str(port)

    def libpq(self, version: int) -> dict[str, Any]:
        """Return libpq's keywords; what is not said is left to its environment variables and `~/.pgpass`.

        Variables that could lead elsewhere are removed from this process's environment. version: of libpq. Raises
        `MissingDependency` for one that can't be kept from sending a password in clear text, and `ValueError` for a
        `require_auth` that leaves nothing to authenticate with.
        """
        if version < _FIRST_LIBPQ:
            raise MissingDependency(
                f"{self.shown}: needs libpq 16 or newer, found {version // 10_000}; pip install 'psycopg[binary]'"
            )
        for variable in _REDIRECTIONS:
            os.environ.pop(variable, None)
        said = {"user": self.user, "password": self.password, "host": self.host, "port": self.port}
        said["dbname"] = self.database
        parameters = {name: value for name, value in self.parameters.items() if name != "functions"}
        keywords: dict[str, Any] = {**{name: value for name, value in said.items() if value}, **parameters}
        if not _encrypted(keywords):
            keywords["require_auth"] = _require_auth(
                keywords.get("require_auth") or os.environ.get("PGREQUIREAUTH", "")
            )
        return keywords

    def without_secrets(self, message: str) -> str:
        """Return `message`, or, when a password stands in it, a sentence instead."""
        secrets = [self.password, *(self.parameters.get(name) for name in _SECRETS)]
        if any(secret and secret in message for secret in secrets):
            return "(the server's message is not shown, because the password stands in it)"
        return message

    def unreachable(self, reason: str) -> DatabaseError:
        """Return the error of a connection that can't be made or was lost."""
        if "cleartext password" in reason:  # libpq's words for what `require_auth` has stopped
            return DatabaseError(
                f"{self.shown}: the server asks for the password in clear text, so it was not sent. On the server, "
                'replace the method "password" by "scram-sha-256" in pg_hba.conf; or, where it offers TLS, add '
                "sslmode=verify-full (or at least sslmode=require) to the address"
            )
        sentence = self.without_secrets(" ".join(reason.split()))
        return DatabaseError(
            f"{self.shown}: can't be reached: {sentence.rstrip('.')}. "
            "Look at host, port, database, user and password, and whether the server runs"
        )


def _encrypted(keywords: Mapping[str, Any]) -> bool:
    """Return whether these keywords of libpq leave no way without TLS; over a Unix socket there is none."""
    hosts = str(keywords.get("hostaddr") or keywords.get("host") or os.environ.get("PGHOST", "")).split(",")
    mode = keywords.get("sslmode") or os.environ.get("PGSSLMODE", "")
    return mode in _ENCRYPTED and all(host and not host.startswith(("/", "@")) for host in hosts)


def _require_auth(said: str) -> str:
    """Return the methods of `said` that send no password in clear text, all such methods where it says nothing.

    said: a value of libpq's `require_auth`, a list of methods that are asked for, or, with "!", ruled out.
    """
    named = [method.strip() for method in said.split(",") if method.strip()]
    excluded = {method.removeprefix("!") for method in named if method.startswith("!")}
    wanted = named if named and not excluded else _NOT_IN_CLEAR_TEXT
    left = [method for method in wanted if method in _NOT_IN_CLEAR_TEXT and method not in excluded]
    if not left:
        raise ValueError(f"require_auth={said} needs TLS; add sslmode=verify-full, or at least sslmode=require")
    return ",".join(left)


def missing_driver(package: str, shown: str) -> MissingDependency:
    """Return the error for an address whose driver is not installed."""
    return MissingDependency(f"{shown}: needs {package}, which is not installed: pip install 'myna[sql]'")
