"""Real servers for tests: a throw-away PostgreSQL and MariaDB on the loopback interface, and SQL for their owners.

Each lives in a temporary folder on a free port, under an unprivileged user when the tests run as root (both refuse
root), and dies with the tests even when these are killed. `scripts/install-servers.sh` installs the programs; where
they are missing the tests are skipped, except in CI, where that is a failure.
"""

import ctypes
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pymysql
import pytest

PASSWORD = "Geheim/geheim@1?"
PASSWORD_IN_URL = "Geheim%2Fgeheim%401%3F"


@dataclass(frozen=True)
class Server:
    """A running server. `folder`: of its data; `admin` is its superuser."""

    scheme: str
    port: int
    folder: Path
    admin: str

    def url(self, database: str, user: str | None = None) -> str:
        """Return the address of `database` for `user` (the superuser unless said); all have the same password."""
        return f"{self.scheme}://{user or self.admin}:{PASSWORD_IN_URL}@127.0.0.1:{self.port}/{database}"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """A PostgreSQL server."""
    initdb = _program("initdb", "/usr/lib/postgresql/*/bin/initdb")
    with _folder() as (folder, user):
        (folder / "password").write_text(PASSWORD)
        _own(folder, user)
        data = folder / "data"
        subprocess.run(
            [
                *(initdb, "-D", data, "-U", "admin", "-A", "scram-sha-256", "--pwfile", folder / "password"),
                *("-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"),
            ],
            **_as(user, folder),
            check=True,
        )
        port = _free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": folder, "fsync": "off"}
        settings |= {"shared_buffers": "32MB", "max_connections": 40, "autovacuum": "off", "max_wal_size": "4GB"}
        command = [initdb.with_name("postgres"), "-D", data]
        command += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        server = Server("postgresql", port, data, "admin")

        def ready() -> None:
            psycopg.connect(server.url("postgres")).close()

        with _running(command, folder, user, signal.SIGQUIT, ready):
            yield server


@pytest.fixture(scope="session")
def mariadb() -> Iterator[Server]:
    """A MariaDB server."""
    daemon = _program("mariadbd", "/usr/sbin/mariadbd")
    install = _program("mariadb-install-db", "/usr/bin/mariadb-install-db")
    with _folder() as (folder, user):
        _own(folder, user)
        data = folder / "data"
        subprocess.run(
            [
                *(install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"),
                *("--skip-test-db", "--skip-log-bin", "--innodb-log-file-size=16M"),
            ],
            **_as(user, folder),
            check=True,
        )
        port = _free_port()
        # secure_file_priv empty and local_infile on: what a careless owner has, and the wall has to hold then.
        command = [daemon, "--no-defaults", f"--datadir={data}", f"--socket={folder}/socket", f"--port={port}"]
        command += [
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--secure-file-priv=",
            "--local-infile=1",
        ]
        command += ["--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", "--innodb-log-file-size=16M"]
        command += [f"--pid-file={folder}/pid", f"--tmpdir={folder}", "--character-set-server=utf8mb4"]
        server = Server("mysql", port, data, "root")

        def ready() -> None:
            socket.create_connection(("127.0.0.1", port)).close()

        with _running(command, folder, user, signal.SIGKILL, ready):
            with pymysql.connect(unix_socket=f"{folder}/socket", user="root") as connection:
                connection.cursor().execute(f"CREATE OR REPLACE USER 'root'@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'")
                connection.cursor().execute("GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION")
            yield server


def postgres_admin(server: Server, database: str = "postgres") -> psycopg.Connection:
    """Return a superuser's connection without any of Myna's walls."""
    return psycopg.connect(server.url(database), autocommit=True)


def mariadb_admin(server: Server, database: str | None = None) -> pymysql.Connection:
    """Return a superuser's connection without any of Myna's walls."""
    return pymysql.connect(
        host="127.0.0.1",
        port=server.port,
        user=server.admin,
        password=PASSWORD,
        database=database,
        autocommit=True,
        charset="utf8mb4",
    )


def _program(name: str, pattern: str) -> Path:
    """Return the newest program at `pattern`, or the one on the path. Skips the test, or in CI fails it."""
    installed = sorted(Path("/").glob(pattern.lstrip("/")), key=lambda path: path.parts[-3].zfill(4))
    found = shutil.which(name)
    if installed:
        return installed[-1]
    if found:
        return Path(found)
    reason = f"{name} is not installed; scripts/install-servers.sh installs it"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _folder() -> Iterator[tuple[Path, str | None]]:
    """Give a folder, and the user who shall own it: nobody, when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="myna-server-"))
    try:
        yield folder, "nobody" if os.geteuid() == 0 else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own(folder: Path, user: str | None) -> None:
    if user is not None:
        for path in (folder, *folder.iterdir()):
            shutil.chown(path, user)


def _as(user: str | None, folder: Path) -> dict[str, object]:
    """Return how a program is run: as `user`, quietly, at home in `folder`."""
    where = {"cwd": folder, "env": {**os.environ, "HOME": str(folder), "LC_ALL": "C.UTF-8"}}
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    if user is None:
        return {**where, **quiet}
    return {**where, **quiet, "user": user, "group": pwd.getpwnam(user).pw_gid, "extra_groups": []}


@contextmanager
def _running(command: list[object], folder: Path, user: str | None, end: signal.Signals, ready) -> Iterator[None]:
    """Run a server until the block is left, or until this process dies, however it dies."""
    parent = os.getpid()

    def die_with_parent() -> None:
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(1, end)  # PR_SET_PDEATHSIG
            if os.getppid() != parent:
                os.kill(os.getpid(), end)

    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [str(word) for word in command],
            stderr=log,
            preexec_fn=die_with_parent,  # noqa: PLW1509 -- no other threads run yet when a server starts
            **_as(user, folder),
        )
    try:
        _wait(process, ready, folder / "log")
        yield
    finally:
        process.send_signal(end)
        process.wait(20)


def _wait(process: subprocess.Popen, ready, log: Path) -> None:
    """Wait until `ready()` succeeds: these servers say nothing that could be waited for."""
    for _ in range(600):
        with suppress(psycopg.OperationalError, ConnectionError):
            ready()
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"the server did not start:\n{log.read_text(errors='replace')[-3000:]}")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
