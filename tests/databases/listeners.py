"""Listeners that ask whoever connects for the password in clear text, and keep every byte that they are sent."""

import socket
import ssl
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SALT = b"12345678abcdefghijkl"


@dataclass
class Listener:
    """A listener on the loopback interface. `connections`: what each one sent."""

    port: int = 0
    connections: list[bytearray] = field(default_factory=list)

    @property
    def received(self) -> bytes:
        return b"".join(self.connections)


Speak = Callable[["Wire"], None]


class Wire:
    """One connection to a listener."""

    def __init__(self, connection: socket.socket, sent: bytearray) -> None:
        self.connection, self._sent = connection, sent

    def read(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self.connection.recv(count - len(found))
            if not part:
                raise EOFError
            self._sent += part
            found += part
        return found

    def read_all(self) -> None:
        """Read until the other side has closed."""
        while part := self.connection.recv(4096):
            self._sent += part


@contextmanager
def listening(speak: Speak) -> Iterator[Listener]:
    """Answer each connection with `speak`, send no more, and read on until the other side closes."""
    listener = Listener()
    server = socket.create_server(("127.0.0.1", 0))
    listener.port = server.getsockname()[1]

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:  # shut down
                return
            listener.connections.append(sent := bytearray())
            with suppress(EOFError, OSError):
                wire = Wire(connection, sent)
                speak(wire)
                wire.connection.shutdown(socket.SHUT_WR)
                wire.read_all()
            wire.connection.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(30)
        assert not thread.is_alive()


def postgres_in_clear_text(wire: Wire) -> None:
    """Ask for AuthenticationCleartextPassword, without TLS (PostgreSQL documentation, 54.2.1)."""
    while True:
        (length,) = struct.unpack("!I", wire.read(4))
        request = wire.read(length - 4)
        if length != 8:  # not SSLRequest or GSSENCRequest, which have no more than a number
            break
        assert request
        wire.connection.sendall(b"N")
    wire.connection.sendall(b"R" + struct.pack("!II", 8, 3))
    wire.read(1)  # a PasswordMessage would come now


def mysql_that_asks(
    plugin: str, questions: Sequence[bytes], *, certificate: tuple[Path, Path] | None = None
) -> Callable[[Wire], None]:
    """Greet as a MySQL server whose default plugin is `plugin`, then send `questions`, each after an answer.

    certificate: a file and its key, to offer TLS with (MySQL documentation, "Connection Phase").
    """
    flags = 0x0008_0000 | 0x8000 | 0x0200 | 0x0008 | 0x0001 | (0x0800 if certificate else 0)

    def speak(wire: Wire) -> None:
        greeting = b"\x0a8.0.36\0" + struct.pack("<I", 1) + SALT[:8] + b"\0"
        greeting += struct.pack("<HBHHB", flags & 0xFFFF, 45, 2, flags >> 16, 21) + bytes(10)
        greeting += SALT[8:] + b"\0" + plugin.encode() + b"\0"
        _send_packet(wire, 0, greeting)
        number = _read_packet(wire)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            wire.connection = context.wrap_socket(wire.connection, server_side=True)
            number = _read_packet(wire)
        for question in questions:
            _send_packet(wire, number + 1, question)
            number = _read_packet(wire)

    return speak


def switch_to(plugin: str) -> bytes:
    """Return the packet that asks to authenticate by another plugin."""
    return b"\xfe" + plugin.encode() + b"\0" + SALT + b"\0"


def self_signed(folder: Path) -> tuple[Path, Path]:
    """Return a new certificate and its key."""
    certificate, key = folder / "server.crt", folder / "server.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-subj", "/CN=localhost", "-days", "2", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)
    return certificate, key


def _send_packet(wire: Wire, number: int, content: bytes) -> None:
    wire.connection.sendall(struct.pack("<I", len(content))[:3] + bytes([number]) + content)


def _read_packet(wire: Wire) -> int:
    """Read a packet and return its number."""
    header = wire.read(4)
    wire.read(int.from_bytes(header[:3], "little"))
    return header[3]
