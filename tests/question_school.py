"""A small school in SQLite, its profile and words: what the tests of questions ask about."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from myna.builders.database import chinese, english
from myna.builders.database.choice import Chooser, Forms, Phrasing, Side
from myna.builders.database.glossary import Glossary
from myna.builders.database.lexicon import Language, Lexicon
from myna.builders.database.profile import Profile, profile
from myna.builders.database.query import ColumnOf, Condition, Join, Query, Where
from myna.builders.database.reading import read
from myna.databases import Database

SIDES: tuple[Side, Side] = ("train", "test")
_SCHEMA = """
CREATE TABLE schools (SchoolID INTEGER PRIMARY KEY, Name TEXT, City TEXT, numOfStaff INTEGER);
CREATE TABLE students (
    Name TEXT, Age INTEGER, School TEXT, Grade INTEGER, Height REAL, Weight REAL, phone_number TEXT,
    dateOfBirth TEXT, school_id INTEGER REFERENCES schools (SchoolID), student_id INTEGER PRIMARY KEY
);
CREATE TABLE cars (id INTEGER PRIMARY KEY, model TEXT, maxSpeedKmh INTEGER, price INTEGER, cost INTEGER, owner_id
    INTEGER REFERENCES students (student_id));
"""
_NAMES = [
    "Wang Junjian",
    "Li Hua",
    "Zhang Wei",
    "Chen Fang",
    "Liu Yang",
    "Zhao Min",
    "Sun Lei",
    "Zhou Jie",
    "Wu Qiang",
    "Xu Na",
]
_SCHOOLS = ("Red Star High School", "Zhicheng High School", "Riverside School")


def write_school(path: Path) -> Path:
    """Write the school's database."""
    with sqlite3.connect(path) as connection:
        connection.executescript(_SCHEMA)
        for number, name in enumerate(_SCHOOLS, 1):
            city = ("Beijing", "Shanghai", "Beijing")[number - 1]
            connection.execute("INSERT INTO schools VALUES (?, ?, ?, ?)", (number, name, city, 20 * number))
        for number, name in enumerate(_NAMES * 3):
            grade, school = 7 + number % 6, number % 3
            called = name if number < len(_NAMES) else f"{name} {number}"
            born = f"{2008 + number % 5}-0{1 + number % 9}-1{number % 9}"
            phone = None if number % 4 == 0 else f"555-01{number:02}"
            row = (called, grade + 5, _SCHOOLS[school], grade, 150 + number, 40 + number % 17, phone, born, school + 1)
            connection.execute(f"INSERT INTO students VALUES ({', '.join('?' * 10)})", (*row, number))
        for number in range(20):
            row = (f"Model {number % 7}", 100 + 7 * number, 9000 + 500 * number, 8000 + 300 * number, number)
            connection.execute("INSERT INTO cars VALUES (?, ?, ?, ?, ?, ?)", (number, *row))
    connection.close()
    return path


def school_profile(folder: Path) -> Profile:
    """Return the profile of the school's database, written to `folder`."""
    with Database.open(write_school(folder / "school.sqlite")) as database:
        return profile(database)


def school_lexicon(found: Profile, glossary: Glossary | None = None) -> Lexicon:
    """Return the words of the school."""
    return Lexicon.of(found, glossary)


def student(column: str) -> ColumnOf:
    """Return a column of the students."""
    return ColumnOf("students", column)


def school(column: str) -> ColumnOf:
    """Return a column of the schools."""
    return ColumnOf("schools", column)


TO_SCHOOL = Join(((student("school_id"), school("SchoolID")),))


def students_where(*conditions: Condition, select: str = "Name", either: bool = False) -> Query:
    """Return a query for a column of the students for whom conditions hold."""
    return Query((student(select),), "students", where=Where(conditions, any=either))


def all_forms(source: Mapping[str, object]) -> list[Forms]:
    """Return the forms among a module's names, those in mappings included."""
    found: list[Forms] = []
    for value in source.values():
        if isinstance(value, Forms):
            found.append(value)
        elif isinstance(value, Mapping):
            found += [each for each in value.values() if isinstance(each, Forms)]
    return found


def said(query: Query, lexicon: Lexicon, language: Language, side: Side, seed: int) -> Phrasing | None:
    """A query, said once with a seed."""
    reading = read(query, lexicon)
    say = english.say if language == "en" else chinese.say
    return say(reading, lexicon, Chooser(side, random.Random(seed))) if reading else None
