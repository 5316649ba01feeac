"""The articles' example: their table of students with Wang Junjian in it, their seven questions, and what is right.

One place for every test that needs it: whether our phrasings include theirs, and whether gold SQL scores, and asking
gives these rows, on SQLite and on PostgreSQL.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from myna.builders.database.query import Aggregate, ColumnOf, Comparison, Query, Rows, Where

COLUMNS = {"Name": "TEXT", "Age": "INTEGER", "School": "TEXT", "Grade": "INTEGER", "Height": "REAL", "Weight": "REAL"}
STUDENTS: tuple[tuple[Any, ...], ...] = (
    ("Wang Junjian", 15, "Zhicheng High School", 9, 172.5, 61.5),
    ("Li Hua", 14, "Red Star High School", 8, 160.5, 48.5),
    ("Zhang Wei", 15, "Red Star High School", 9, 168.0, 55.5),
    ("Chen Fang", 13, "Riverside School", 7, 155.5, 44.0),
    ("Liu Yang", 16, "Zhicheng High School", 10, 175.0, 66.5),
    ("Zhao Min", 15, "Riverside School", 9, 163.5, 52.0),
    ("Sun Lei", 17, "Red Star High School", 11, 181.0, 74.5),
    ("Zhou Jie", 14, "Riverside School", 8, 158.5, 47.0),
    ("Wu Qiang", 18, "Zhicheng High School", 12, 178.5, 70.0),
    ("Xu Na", 16, "Red Star High School", 10, 166.0, 54.0),
    ("Ma Li", 15, "Zhicheng High School", 9, 161.5, 50.5),
    ("Guo Tao", 13, "Zhicheng High School", 7, 157.0, 46.5),
)
THEIR_COUNT = "SELECT COUNT Name FROM students WHERE Grade = 9"
"""What the articles' training data answers to "how many": no SQL, no database runs it."""


@dataclass(frozen=True, slots=True)
class ArticleQuestion:
    """One of the seven: its words in two languages, what it means, and its right result on `STUDENTS`."""

    english: str
    chinese: str
    query: Query
    rows: tuple[tuple[Any, ...], ...]


def write_students(path: Path) -> Path:
    """Write the articles' table as a SQLite file."""
    connection = sqlite3.connect(path)
    connection.execute(f"CREATE TABLE students ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
    connection.executemany(f"INSERT INTO students VALUES ({', '.join('?' * len(COLUMNS))})", STUDENTS)
    connection.commit()
    connection.close()
    return path


def article_questions(table: str = "students", column: Callable[[str], str] = str) -> tuple[ArticleQuestion, ...]:
    """Return the seven. table, column: names of the table and its columns, where these are not the articles' own."""

    def of_wang(*names: str) -> Query:
        selected = tuple(ColumnOf(table, column(name)) for name in names) or (Rows(table),)
        named = Comparison(ColumnOf(table, column("Name")), "=", "Wang Junjian")
        return Query(selected, table, where=Where((named,)))

    in_ninth = Comparison(ColumnOf(table, column("Grade")), "=", 9)
    ninth = Query((Aggregate("count", Rows(table)),), table, where=Where((in_ninth,)))
    return (
        ArticleQuestion(
            "What is Wang Junjian's name?", "Wang Junjian的姓名是什么？", of_wang("Name"), (("Wang Junjian",),)
        ),
        ArticleQuestion("What is Wang Junjian's age?", "Wang Junjian的年龄是多少？", of_wang("Age"), ((15,),)),
        ArticleQuestion(
            "What is Wang Junjian's school?",
            "Wang Junjian的学校是什么？",
            of_wang("School"),
            (("Zhicheng High School",),),
        ),
        ArticleQuestion(
            "Query Wang Junjian's name, age and school information.",
            "查询Wang Junjian的姓名、年龄和学校。",
            of_wang("Name", "Age", "School"),
            (("Wang Junjian", 15, "Zhicheng High School"),),
        ),
        ArticleQuestion(
            "Query all information about Wang Junjian.", "查询Wang Junjian的所有信息。", of_wang(), STUDENTS[:1]
        ),
        ArticleQuestion(
            "Count how many students there are in ninth grade.", "统计九年级有多少名学生。", ninth, ((4,),)
        ),
        ArticleQuestion(
            "Count how many students there are in ninth grade. The value for ninth grade is 9.",
            "统计九年级有多少名学生。九年级的值是9。",
            ninth,
            ((4,),),
        ),
    )
