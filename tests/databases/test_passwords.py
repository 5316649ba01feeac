"""No password is sent in clear text without TLS, whatever answers at the address, and whoever typed it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from databases.listeners import listening, mysql_that_asks, postgres_in_clear_text, self_signed, switch_to
from databases.servers import PASSWORD, PASSWORD_IN_URL, Server, postgres_admin
from myna.databases import Database
from myna.databases.address import Address
from myna.databases.server_url import ServerUrl
from myna.errors import DatabaseError, MissingDependency

SECRET = "Geheimnis-8231"
KEY = b"\x01-----BEGIN PUBLIC KEY-----\n"


def refused(url: str, message: str) -> str:
    """Fail to open a database, and return what is said."""
    with pytest.raises(DatabaseError, match=message) as caught:
        Database.open(url)
    return str(caught.value)


@pytest.mark.parametrize("options", ["", "?sslmode=disable", "?sslmode=allow", "?require_auth=md5,password"])
@pytest.mark.parametrize("given", ["url", "environment", "passfile"])
def test_a_postgres_server_that_asks_for_clear_text_gets_nothing(
    options: str, given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{SECRET}\n")
    passfile.chmod(0o600)
    if given == "environment":
        monkeypatch.setenv("PGPASSWORD", SECRET)
    if given == "passfile":
        monkeypatch.setenv("PGPASSFILE", str(passfile))
    login = f"alice:{SECRET}" if given == "url" else "alice"
    with listening(postgres_in_clear_text) as listener:
        said = refused(
            f"postgresql://{login}@127.0.0.1:{listener.port}/shop{options}",
            r"in clear text, so it was not sent.*scram-sha-256.*sslmode",
        )
    assert b"alice" in listener.received  # or the test would promise nothing
    assert SECRET.encode() not in listener.received
    assert SECRET not in said


def test_require_auth_that_leaves_clear_text_alone_needs_tls() -> None:
    with pytest.raises(DatabaseError, match="require_auth=password needs TLS"):
        Database.open("postgresql://alice@127.0.0.1:1/shop?require_auth=password")


def test_without_tls_a_stricter_require_auth_stays_stricter(monkeypatch: pytest.MonkeyPatch) -> None:
    def required(options: str) -> str | None:
        asked = ServerUrl.of(Address.parse(f"postgresql://alice@db/shop{options}")).libpq(180_000)
        return asked.get("require_auth")

    assert required("") == "scram-sha-256,md5,gss,sspi,none"
    assert required("?require_auth=scram-sha-256,password") == "scram-sha-256"
    assert required("?require_auth=!none,!password") == "scram-sha-256,md5,gss,sspi"
    assert required("?sslmode=verify-full") is None
    assert required("?sslmode=require&host=/run/postgresql") == "scram-sha-256,md5,gss,sspi,none"
    assert required("?sslmode=require&require_auth=password") == "password"
    monkeypatch.setenv("PGREQUIREAUTH", "scram-sha-256")
    assert required("") == "scram-sha-256"
    monkeypatch.setenv("PGSSLMODE", "require")
    assert required("") is None


def test_a_libpq_that_can_t_be_kept_from_clear_text_is_refused() -> None:
    with pytest.raises(MissingDependency, match="needs libpq 16 or newer, found 15"):
        ServerUrl.of(Address.parse("postgresql://alice@db/shop")).libpq(150_012)


def test_the_environment_can_t_lead_to_another_server(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    with listening(postgres_in_clear_text) as listener:
        monkeypatch.setenv("PGHOSTADDR", "127.0.0.9")
        monkeypatch.setenv("PGSERVICE", "elsewhere")
        monkeypatch.setenv("PGOPTIONS", "-c statement_timeout=1")
        monkeypatch.setenv("PGHOST", "127.0.0.1")
        monkeypatch.setenv("PGPORT", str(listener.port))
        with Database.open(postgres.url("postgres")) as database:
            assert database.run("SELECT 1").rows == ((1,),)
    assert listener.connections == []


@contextmanager
def _clear_text_allowed(server: Server, certificate: tuple[Path, Path] | None = None) -> Iterator[str]:
    """Let the server's pg_hba.conf say `password` for the database `clear`, and let it offer TLS with a certificate."""
    rules = server.folder / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host clear all 127.0.0.1/32 password\n{before}")
    with postgres_admin(server) as admin:
        admin.execute("DROP DATABASE IF EXISTS clear")
        admin.execute("CREATE DATABASE clear")
        for source, name in zip(certificate or (), ("server.crt", "server.key"), strict=False):
            shutil.copy(source, server.folder / name)
            shutil.chown(server.folder / name, server.folder.owner())
            (server.folder / name).chmod(0o600)
            admin.execute("ALTER SYSTEM SET ssl = on")
    _reload(server)
    try:
        yield server.url("clear")
    finally:
        rules.write_text(before)
        with postgres_admin(server) as admin:
            admin.execute("ALTER SYSTEM RESET ssl")
        _reload(server)


def _reload(server: Server) -> None:
    """Let the server read its settings; new sessions have them when they say so."""
    with postgres_admin(server) as admin:
        (before,) = admin.execute("SELECT pg_conf_load_time()").fetchall()
        admin.execute("SELECT pg_reload_conf()")
    while True:
        with postgres_admin(server) as admin:
            if admin.execute("SELECT pg_conf_load_time()").fetchall() != [before]:
                return


def test_a_postgres_server_whose_rules_want_clear_text_is_refused_with_what_to_change(postgres: Server) -> None:
    with _clear_text_allowed(postgres) as url:
        with pytest.raises(DatabaseError, match=r'"password" by "scram-sha-256" in pg_hba\.conf') as caught:
            Database.open(url)
        assert PASSWORD not in str(caught.value)
        assert PASSWORD_IN_URL not in str(caught.value)
    with Database.open(postgres.url("postgres")) as database:  # scram-sha-256
        assert database.run("SELECT 1").rows == ((1,),)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
def test_over_tls_a_postgres_server_may_ask_for_clear_text(postgres: Server, tmp_path: Path) -> None:
    with _clear_text_allowed(postgres, self_signed(tmp_path)) as url:
        with Database.open(f"{url}?sslmode=require") as database:
            assert database.run("SELECT 1").rows == ((1,),)
        with pytest.raises(DatabaseError, match="add sslmode=verify-full"):
            Database.open(url)


ASKING = {
    "mysql_clear_password": ("mysql_native_password", [switch_to("mysql_clear_password")]),
    "mysql_old_password": ("mysql_native_password", [switch_to("mysql_old_password")]),
    "dialog": ("mysql_native_password", [switch_to("dialog")[:-21] + b"\x04Password: "]),
    "sha256_password": ("sha256_password", [KEY]),
    "sha256_password, switched to": ("mysql_native_password", [switch_to("sha256_password"), KEY]),
    "caching_sha2_password": ("caching_sha2_password", [b"\x01\x04", KEY]),
    "caching_sha2_password, switched to": (
        "mysql_native_password",
        [switch_to("caching_sha2_password"), b"\x01\x04", KEY],
    ),
}


@pytest.mark.parametrize("asking", ASKING)
@pytest.mark.parametrize("given", ["url", "environment"])
def test_a_mysql_server_that_asks_for_clear_text_gets_nothing(
    asking: str, given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    default, questions = ASKING[asking]
    monkeypatch.setenv("MYSQL_PWD", SECRET if given == "environment" else "")
    login = f"alice:{SECRET}" if given == "url" else "alice"
    with (
        listening(mysql_that_asks(default, questions)) as listener,
        pytest.raises(DatabaseError, match=rf"\({asking.partition(',')[0]}\) and offers no TLS, so it was not sent"),
    ):
        Database.open(f"mysql://{login}@127.0.0.1:{listener.port}/shop")
    assert b"alice" in listener.received
    assert SECRET.encode() not in listener.received
    assert b"\x01\x00\x00\x03\x02" not in listener.received  # no request for a public key to encrypt it with


@pytest.mark.skipif(shutil.which("openssl") is None, reason="makes a certificate with openssl")
@pytest.mark.parametrize("asking", ["mysql_clear_password", "dialog", "caching_sha2_password, switched to"])
def test_over_tls_a_mysql_server_may_ask_for_clear_text(asking: str, tmp_path: Path) -> None:
    default, questions = ASKING[asking]
    questions = [question for question in questions if question != KEY]
    with listening(mysql_that_asks(default, questions, certificate=self_signed(tmp_path))) as listener:
        refused(f"mysql://alice:{SECRET}@127.0.0.1:{listener.port}/shop", "Lost connection")
    assert SECRET.encode() in listener.received


def test_a_mysql_server_gets_no_local_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text(SECRET)
    wants = b"\xfb" + str(tmp_path / "file").encode()
    ok = b"\0\0\0\2\0\0\0"
    with listening(mysql_that_asks("mysql_native_password", [ok, wants])) as listener:
        refused(f"mysql://alice@127.0.0.1:{listener.port}/shop", "can't be reached")
    assert SECRET.encode() not in listener.received


@pytest.mark.parametrize("answer", [b"", b"\0", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x0a", b"\xff" * 40])
def test_what_does_not_speak_mysql_is_an_error_that_says_so(answer: bytes) -> None:
    def speak(wire) -> None:
        wire.connection.sendall(len(answer).to_bytes(3, "little") + b"\0" + answer)

    with listening(speak) as listener, pytest.raises(DatabaseError, match="can't be reached"):
        Database.open(f"mysql://alice@127.0.0.1:{listener.port}/shop?connect_timeout=2")
