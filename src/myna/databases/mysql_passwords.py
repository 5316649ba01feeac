"""What PyMySQL may send when a server asks for a password: never the password itself without TLS.

The server chooses how it is authenticated to, so whatever answers at a host and port can ask for clear text; PyMySQL
sends it (`mysql_clear_password`, `dialog`), or encrypts it with a public key that the same server hands out
(`sha256_password`, and `caching_sha2_password` when the server says that it has not cached the password). The plugins
here are PyMySQL's own behind a look at the connection. A Unix socket is no exception.

Methods: https://dev.mysql.com/doc/refman/8.4/en/authentication-plugins.html
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import Any

from myna.errors import DatabaseError, MissingDependency

_FIRST_PYMYSQL = (1, 2, 2)
"""It asks these plugins whenever the server sends something; older ones answer some of it on their own."""
_NEEDS_FULL_AUTHENTICATION = b"\x01\x04"


def plugins(shown: str) -> Mapping[str, type]:
    """Return PyMySQL's `auth_plugin_map`. shown: the address as errors name it.

    Connecting raises `DatabaseError` when the server asks for what is not sent without TLS. Raises `MissingDependency`
    for a version of PyMySQL that could send it all the same.
    """
    import pymysql  # type: ignore[import-untyped]

    if pymysql.VERSION[:3] < _FIRST_PYMYSQL:
        raise MissingDependency(f"{shown}: needs PyMySQL 1.2.2 or newer; pip install -U 'myna[sql]'")
    # mysql_old_password is clear text as well: its hash of 8 bytes is found by trying.
    in_clear_text = ("mysql_clear_password", "mysql_old_password", "dialog", "sha256_password")
    classes = {name: type(name, (_OverTLS,), {"name": name, "shown": shown}) for name in in_clear_text}
    name = "caching_sha2_password"
    return {**classes, name: type(name, (_CachingSha2,), {"name": name, "shown": shown})}


class _OverTLS:
    """A plugin of PyMySQL that is used over TLS alone. PyMySQL makes one for a connection, and calls `authenticate`."""

    name: str
    shown: str

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def authenticate(self, packet: Any) -> Any:
        """Answer what the server has sent, and return its next packet."""
        if not self._encrypted:
            raise self._refused()
        return self._by_pymysql(packet)

    @property
    def _encrypted(self) -> bool:
        return isinstance(self._connection._sock, ssl.SSLSocket)

    def _by_pymysql(self, packet: Any) -> Any:
        return self._connection._process_auth(self.name.encode(), packet)

    def _refused(self) -> DatabaseError:
        return DatabaseError(
            f"{self.shown}: the server asks for the password itself ({self.name}) and offers no TLS, so it was not "
            "sent. Let the server offer TLS, or let its user log in with a method that sends no password "
            "(mysql_native_password, or MariaDB's ed25519)"
        )


class _CachingSha2(_OverTLS):
    """Without TLS: the hash that is enough where the server has cached the password, and nothing more."""

    def authenticate(self, packet: Any) -> Any:
        if self._encrypted or not self._connection.password:
            return self._by_pymysql(packet)
        from pymysql._auth import scramble_caching_sha2  # type: ignore[import-untyped]

        if packet.is_auth_switch_request():
            salt = packet.read_all().removesuffix(b"\0")
            self._connection.write_packet(scramble_caching_sha2(self._connection.password, salt))
            packet = self._connection._read_packet()
        if packet.is_ok_packet():
            return packet
        if packet.get_all_data()[:2] == _NEEDS_FULL_AUTHENTICATION:
            raise self._refused()
        return self._by_pymysql(packet)
