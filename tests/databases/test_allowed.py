"""What a data folder or a correction names is opened only if it is in the folder, or the user has named it."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from myna.cli import main
from myna.databases.address import Address
from myna.databases.allowed import allow, allowed_file, place_in_corrections, place_in_data, shown_place
from myna.errors import DatabaseError, RunError

WHERE = "data.json: the database 'shop'"


@pytest.fixture(autouse=True)
def _nothing_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for variable in ("PGHOST", "PGPORT"):
        monkeypatch.delenv(variable, raising=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    (data / "databases").mkdir(parents=True)
    (data / "databases" / "shop.sqlite").touch()
    (tmp_path / "mine.sqlite").touch()
    return data


def refused(place: str, folder: Path | None) -> str:
    """Return why a place may not be named."""
    with pytest.raises(DatabaseError) as caught:
        place_in_corrections(place, where=WHERE) if folder is None else place_in_data(place, folder, where=WHERE)
    assert str(caught.value).startswith(WHERE)
    return str(caught.value)


@pytest.mark.parametrize("place", ["databases/shop.sqlite", "./databases/../databases/shop.sqlite", "new.sqlite"])
def test_a_path_in_the_folder_may_be_named(place: str, folder: Path) -> None:
    assert place_in_data(place, folder, where=WHERE) == os.path.abspath(folder / place)
    inside = f"sqlite:///{folder / place}"
    assert place_in_data(inside, folder, where=WHERE) == os.path.abspath(folder / place)


@pytest.mark.parametrize("place", ["../mine.sqlite", "databases/../../mine.sqlite", "{}/mine.sqlite"])
@pytest.mark.parametrize("scheme", ["", "sqlite:///", "duckdb:///"])
def test_a_path_out_of_the_folder_is_named_by_the_user_alone(
    place: str, scheme: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)  # where a path after sqlite:/// begins
    place = scheme + place.format(tmp_path)
    mine = tmp_path / "mine.sqlite"
    assert f"myna data allow {mine}" in refused(place, folder)
    assert f"myna data allow {mine}" in refused(str(mine), None)
    allow(str(mine))
    assert place_in_data(place, folder, where=WHERE) == str(mine)
    assert place_in_corrections(str(mine), where=WHERE) == str(mine)
    refused("../other.sqlite", folder)


def test_a_folder_that_was_named_is_not_all_that_is_below_it(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a\n1\n")
    allow(str(tmp_path))
    assert place_in_data("..", folder, where=WHERE) == str(tmp_path)
    refused("../mine.sqlite", folder)


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_is_what_it_leads_to(folder: Path, tmp_path: Path) -> None:
    (folder / "link.sqlite").symlink_to(tmp_path / "mine.sqlite")
    (folder / "parent").symlink_to(tmp_path)
    (folder / "tables").mkdir()
    (folder / "tables" / "own.csv").touch()
    (folder / "inner.sqlite").symlink_to(folder / "databases" / "shop.sqlite")
    assert place_in_data("inner.sqlite", folder, where=WHERE)
    assert place_in_data("tables", folder, where=WHERE)
    (folder / "tables" / "link.csv").symlink_to(tmp_path / "mine.sqlite")
    for place in ("link.sqlite", "parent/mine.sqlite", "tables"):
        assert f"is a link to {tmp_path / 'mine.sqlite'}" in refused(place, folder)
    allow(str(tmp_path / "mine.sqlite"))
    for place in ("link.sqlite", "parent/mine.sqlite", "tables"):
        assert place_in_data(place, folder, where=WHERE) == str(folder / place)
    # a folder that is reached through a link is the same folder
    (tmp_path / "other name").symlink_to(folder)
    assert place_in_data("databases/shop.sqlite", tmp_path / "other name", where=WHERE)
    assert place_in_data(str(folder / "databases" / "shop.sqlite"), tmp_path / "other name", where=WHERE)


@pytest.mark.parametrize(
    ("typed", "named", "allowed"),
    [
        ("postgresql://me@db.example/shop", "postgresql://you@DB.example:5432/other?connect_timeout=3", True),
        ("postgres://me:secret@127.0.0.1:7777/shop", "postgresql://127.0.0.1:7777/shop", True),
        ("mysql://me@db.example/shop", "mariadb://you@db.example:3306/other", True),
        ("postgresql:///shop?host=/run/pg", "postgresql://%2Frun%2Fpg/shop", True),
        (
            "postgresql://h/d?sslmode=verify-full&sslrootcert=/ca",
            "postgresql://h/d?sslrootcert=/ca&sslmode=verify-full",
            True,
        ),
        ("postgresql://h/d?sslmode=verify-full&sslrootcert=/ca", "postgresql://h/d", False),
        ("postgresql://h/d", "postgresql://h/d?sslmode=disable", False),
        ("postgresql://h/d", "postgresql://h/d?passfile=/home/me/.pgpass", False),
        ("postgresql://h/d", "postgresql://h/d?sslkey=/home/me/key", False),
        ("postgresql://h/d", "postgresql://h/d?require_auth=password", False),
        ("postgresql://h/d", "postgresql://h/d?host=evil.example", False),
        ("postgresql://h/d", "postgresql://h/d?hostaddr=127.0.0.1", False),
        ("postgresql://h/d", "postgresql://h/d?port=7777", False),
        ("postgresql://h/d", "postgresql://h%2Cevil.example/d", False),
        ("postgresql://h/d", "mysql://h:5432/d", False),
        ("postgresql://localhost/d", "postgresql://127.0.0.1/d", False),
        ("postgresql://localhost/d", "postgresql:///d", False),
        ("mysql://h/d", "mysql://h:7777/d", False),
        ("mysql://h/d", "mysql://h/d?read_default_file=/home/me/.my.cnf", False),
        ("mysql://h/d", "mysql://h/d?read_default_group=client", False),
        ("mysql://h/d", "mysql://h/d?unix_socket=/tmp/evil", False),
        ("mysql://h/d", "mysql://h/d?ssl_disabled=true", False),
        ("mysql://h/d?read_default_file=/my.cnf", "mysql://u@h/e?read_default_file=/my.cnf", True),
    ],
)
def test_a_server_may_be_named_as_it_was_typed(typed: str, named: str, allowed: bool, folder: Path) -> None:
    said = refused(named, folder)
    assert "which you have not used on this machine, so nothing was sent there" in said
    allow(Address.parse(typed).place)
    assert "secret" not in allowed_file().read_text()
    if allowed:
        assert Address.parse(place_in_data(named, folder, where=WHERE)).location == Address.parse(named).location
        assert place_in_corrections(named, where=WHERE)
    else:
        refused(named, folder)
        refused(named, None)


def test_the_command_that_allows_a_server_is_said_and_allows_it(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused("postgresql://alice@127.0.0.1:7777/shop?sslmode=require", folder)
    assert "is on the server 127.0.0.1:7777, which you have not used on this machine" in said
    assert said.endswith("myna data allow 'postgresql://alice@127.0.0.1:7777/shop?sslmode=require'")
    assert main(["data", "allow", "postgresql://alice:secret@127.0.0.1:7777/shop", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "allowed": "postgresql://127.0.0.1:7777",
        "file": str(allowed_file()),
    }
    other_options = refused("postgresql://alice@127.0.0.1:7777/shop?sslmode=require", folder)
    assert "which you have used on this machine with other connection options only" in other_options
    assert place_in_data("postgresql://alice@127.0.0.1:7777/shop", folder, where=WHERE)


def test_options_that_read_files_are_not_in_the_command_that_is_said(folder: Path) -> None:
    said = refused("postgresql://h/d?passfile=/home/me/.pgpass", folder)
    assert "Its passfile would read files of this machine" in said
    assert "/home/me" not in said


def test_the_environment_of_libpq_is_a_part_of_what_was_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGPORT", "5433")
    allow("postgresql:///shop")
    assert place_in_data("postgresql://db.example:5433/shop", folder, where=WHERE)
    monkeypatch.setenv("PGHOST", "evil.example")
    refused("postgresql:///shop", folder)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("postgresql://alice:Geheim@h/d", "a password, which would go wherever the file goes.* set PGPASSWORD"),
        ("mysql://alice@h/d?password=Geheim", "set MYSQL_PWD"),
        ("alice:Geheim@h/d", "seems to hold a password"),
        ("postgre://alice:Geheim@h/d", "postgre:// is no kind"),
        ("host=h password=Geheim", "seems to hold a password"),
        ("sqlite:///alice:Geheim@h", "seems to hold a password"),
        ("databases/alice:Geheim@h", "seems to hold a password"),
    ],
)
def test_a_password_in_a_data_folder_is_neither_used_nor_shown(place: str, said: str, folder: Path) -> None:
    with pytest.raises(DatabaseError, match=said) as caught:
        place_in_data(place, folder, where=WHERE)
    assert "Geheim" not in str(caught.value)
    assert "Geheim" not in shown_place(place)


def test_control_characters_are_no_part_of_an_address(folder: Path) -> None:
    for place in ("x\x1b[2J.sqlite", "x\u202e.sqlite", "../x\n.sqlite"):
        assert "control character" in refused(place, folder)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_what_was_named_is_nobody_else_s_to_read(tmp_path: Path) -> None:
    allow("postgresql://h/d", str(tmp_path / "ü\n.sqlite"))
    allow("postgresql://h/d")
    assert stat.S_IMODE(allowed_file().stat().st_mode) == 0o600
    assert stat.S_IMODE(allowed_file().parent.stat().st_mode) == 0o700
    lines = allowed_file().read_text("utf-8").splitlines()
    assert list(map(json.loads, lines)) == ["postgresql://h:5432", str(tmp_path / "ü\n.sqlite")]
    allowed_file().write_text(f'{lines[0]}\nnot JSON\n["postgresql://evil:5432"]\n')
    assert place_in_corrections("postgresql://h/d", where=WHERE)
    refused("postgresql://evil/d", None)


def test_a_list_that_can_t_be_read_or_written_is_said(folder: Path) -> None:
    allowed_file().parent.parent.mkdir()
    allowed_file().parent.touch()
    with pytest.raises(RunError, match="can't be written"):
        allow("postgresql://h/d")
    allowed_file().parent.unlink()
    allowed_file().mkdir(parents=True)
    with pytest.raises(RunError, match=r"databases\.jsonl: can't be read"):
        place_in_data("postgresql://h/d", folder, where=WHERE)
