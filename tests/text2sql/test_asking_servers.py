"""Promises of asking on a real server: its names, comments and values in the prompt, its types in the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from databases.servers import PASSWORD, PASSWORD_IN_URL, Server, postgres_admin
from myna.databases import Database
from myna.text2sql.asking import Asker, Corrections
from scripted_answers import Scripted

TABLES = """
CREATE SCHEMA shop;
CREATE TABLE shop."Orders" (id INT PRIMARY KEY, "Total Price" NUMERIC(8, 2), placed DATE, customer TEXT);
COMMENT ON COLUMN shop."Orders".placed IS 'day of the order; DROP TABLE';
INSERT INTO shop."Orders" VALUES (1, 12.50, '2024-01-02', 'Wang Junjian'), (2, 0.1, NULL, 'Eve');
"""
SQL = """SELECT "Total Price", placed FROM shop."Orders" WHERE customer = 'Wang Junjian'"""


@pytest.fixture(scope="module")
def url(postgres: Server) -> str:
    with postgres_admin(postgres) as admin:
        admin.execute("CREATE DATABASE asked")
    with postgres_admin(postgres, "asked") as admin:
        admin.execute(TABLES)
    return postgres.url("asked")


@pytest.fixture
def shop(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Database.open(url) as database:
        yield database


def test_postgres_is_asked_in_its_own_sql_and_nothing_keeps_its_password(shop: Database, tmp_path: Path) -> None:
    scripted = Scripted('SELECT "total price" FROM shop."Orders"', SQL)
    with Asker(shop, scripted, constrain="content") as asker:
        answer = asker.ask("What did wang junjian pay?")
    assert (answer.sql, answer.repairs) == (SQL, 1)
    assert answer.as_dict()["rows"] == [[12.5, "2024-01-02"]]
    system, question = answer.messages
    assert "PostgreSQL" in system["content"]
    assert 'shop."Orders"(id number key, "Total Price" number' in system["content"]
    assert "{day of the order; DROP TABLE}" in system["content"]
    assert "customer = 'Wang Junjian'" in question["content"]
    Corrections(tmp_path / "c.jsonl").keep(answer, SQL, shop)
    kept = (tmp_path / "c.jsonl").read_text("utf-8")
    assert json.loads(kept)["sql"]["database"].startswith("postgresql://")
    for secret in (PASSWORD, PASSWORD_IN_URL):
        assert secret not in kept
        assert secret not in repr(answer)
