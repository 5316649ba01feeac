"""The parts of a server's address, as its driver takes them, and errors about it that hold no password."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import unquote

from myna.databases.address import Address
from myna.errors import DatabaseError, MissingDependency

_PARTS = re.compile(
    r"\w+://(?:(?P<user>[^:@]*)(?P<password>:[^@]*)?@)?(?P<host>\[[^]]*\]|[^:/]*)(?::(?P<port>\d+))?/(?P<database>[^?]*)"
    r"(?:\?(?P<parameters>.*))?"
)
_SECRETS = ("password", "passwd", "sslpassword", "ssl_key_password")


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

    def libpq(self) -> dict[str, Any]:
        """Return libpq's keywords; what is not said is left to its environment variables and `~/.pgpass`."""
        said = {"user": self.user, "password": self.password, "host": self.host, "port": self.port}
        said["dbname"] = self.database
        parameters = {name: value for name, value in self.parameters.items() if name != "functions"}
        return {**{name: value for name, value in said.items() if value}, **parameters}

    def without_secrets(self, message: str) -> str:
        """Return `message`, or, when a password stands in it, a sentence instead."""
        secrets = [self.password, *(self.parameters.get(name) for name in _SECRETS)]
        if any(secret and secret in message for secret in secrets):
            return "(the server's message is not shown, because the password stands in it)"
        return message

    def unreachable(self, reason: str) -> DatabaseError:
        """Return the error of a connection that can't be made or was lost."""
        sentence = self.without_secrets(" ".join(reason.split()))
        return DatabaseError(
            f"{self.shown}: can't be reached: {sentence.rstrip('.')}. "
            "Look at host, port, database, user and password, and whether the server runs"
        )


def missing_driver(package: str, shown: str) -> MissingDependency:
    """Return the error for an address whose driver is not installed."""
    return MissingDependency(f"{shown}: needs {package}, which is not installed: pip install 'myna[sql]'")
