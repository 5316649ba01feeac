"""A small SQLite database with a bit of everything, for tests."""

import sqlite3
from pathlib import Path

TABLES = """
CREATE TABLE students (id INTEGER PRIMARY KEY, name TEXT, age INTEGER, grade TEXT);
CREATE INDEX by_name ON students (name);
CREATE TABLE grades (student INTEGER REFERENCES students, subject TEXT, points REAL);
CREATE VIEW grown_ups AS SELECT name FROM students WHERE age >= 18;
CREATE VIEW endless AS WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c;
CREATE TABLE counted (id INTEGER PRIMARY KEY AUTOINCREMENT);
CREATE TRIGGER on_delete AFTER DELETE ON students BEGIN DELETE FROM grades; END;
CREATE VIRTUAL TABLE notes USING fts5 (text);
INSERT INTO notes VALUES ('fish and chips'), ('a fish'), ('中文 笔记');
INSERT INTO counted DEFAULT VALUES;
"""


def write_school(path: Path, students: int = 1000) -> Path:
    """Write the database to `path`."""
    connection = sqlite3.connect(path)
    connection.executescript(TABLES)
    rows = [(number, f"Student {number}", 10 + number % 20, "ABC"[number % 3]) for number in range(1, students + 1)]
    connection.executemany("INSERT INTO students VALUES (?, ?, ?, ?)", rows)
    connection.execute("INSERT INTO grades SELECT id, 'mathematics', age / 2.0 FROM students")
    connection.execute("ANALYZE")
    connection.commit()
    connection.close()
    return path
