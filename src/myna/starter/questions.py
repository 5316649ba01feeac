"""The seven questions that Myna's forerunner was presented with, in English and Chinese, and the SQL that is right.

They ask the `students` database of the demo. Knows no model.
"""

from __future__ import annotations

from dataclasses import dataclass

WANG = "FROM students WHERE Name = 'Wang Junjian'"
NINTH = "SELECT COUNT(*) FROM students WHERE Grade = 9"


@dataclass(frozen=True, slots=True)
class DemoQuestion:
    """One question in both languages. gold: SQL with the right result."""

    english: str
    chinese: str
    gold: str


QUESTIONS = (
    DemoQuestion("What is Wang Junjian's name?", "Wang Junjian的姓名是什么？", f"SELECT Name {WANG}"),
    DemoQuestion("What is Wang Junjian's age?", "Wang Junjian的年龄是多少？", f"SELECT Age {WANG}"),
    DemoQuestion("What is Wang Junjian's school?", "Wang Junjian的学校是什么？", f"SELECT School {WANG}"),
    DemoQuestion(
        "Query Wang Junjian's name, age and school information.",
        "查询Wang Junjian的姓名、年龄和学校。",
        f"SELECT Name, Age, School {WANG}",
    ),
    DemoQuestion("Query all information about Wang Junjian.", "查询Wang Junjian的所有信息。", f"SELECT * {WANG}"),
    DemoQuestion("Count how many students there are in ninth grade.", "统计九年级有多少名学生。", NINTH),
    DemoQuestion(
        "Count how many students there are in ninth grade. The value for ninth grade is 9.",
        "统计九年级有多少名学生。九年级的值是9。",
        NINTH,
    ),
)
