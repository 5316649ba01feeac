import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myna.databases import Column, ForeignKey, Schema, Table
from myna.text2sql.relevant import relevant_schema
from myna.text2sql.schema_text import schema_text
from myna.text2sql.values import ValueMatch


def count(text):
    return len(text.split()) + 1  # as tokenizers that put a mark before every text


def table(name, *columns, key=(), keys=(), comment=""):
    made = (Column(each, "TEXT", "text") if isinstance(each, str) else each for each in columns)
    return Table(name, tuple(made), key, tuple(keys), comment)


SCHOOL = Schema(
    (
        table("teacher", "teacher_no", "name", "salary", key=("teacher_no",)),
        table("class", "class_no", "room", key=("class_no",)),
        table(
            "teaches",
            "teacher",
            "class",
            keys=[ForeignKey(("teacher",), "teacher", ("teacher_no",)), ForeignKey(("class",), "class", ("class_no",))],
        ),
        table("设备", Column("编号", "TEXT", "text"), Column("x1", "TEXT", "text", comment="采购日期")),
        table("invoice", "number", "amount", comment="bills that parents pay"),
        table("weather", "day", "temp"),
    )
)


def names(relevant):
    return [each.name for each in relevant.schema.tables]


def cut(question, budget, schema=SCHOOL, **options):
    return relevant_schema(schema, question, budget=budget, size=count, **options)


def test_a_schema_that_fits_stays_whole():
    relevant = cut("?", 1000)
    assert relevant.schema == SCHOOL
    assert relevant.is_whole


@pytest.mark.parametrize(
    ("question", "first"),
    [
        ("What are the salaries?", "teacher"),
        ("Which classrooms are there?", "class"),
        ("哪些设备是新的", "设备"),
        ("采购日期是哪天", "设备"),
        ("老师的工资是多少", "teacher"),
        ("今天的天气怎么样", "weather"),
        ("How many bills are there?", "invoice"),
        ("What was the temperature?", "weather"),
    ],
)
def test_the_table_that_the_question_speaks_of_stays(question, first):
    relevant = cut(question, 12)
    assert first in names(relevant)
    assert len(names(relevant)) <= 3
    assert not relevant.is_whole


def test_a_cell_that_the_question_names_keeps_its_table():
    match = ValueMatch("invoice", "number", "A-17", 1.0, 0, 4)
    assert "invoice" not in names(cut("Is A-17 a teacher?", 10))
    assert "invoice" in names(cut("Is A-17 a teacher?", 10, values=[match]))


def test_the_table_between_two_stays_so_that_they_can_be_joined():
    relevant = cut("Which teacher has a class?", 30)
    assert {"teacher", "class", "teaches"} <= set(names(relevant))
    assert len([key for each in relevant.schema.tables for key in each.foreign_keys]) == 2


def test_the_order_is_the_schemas_and_what_is_left_out_is_said():
    relevant = cut("invoice of the teacher", 22)
    order = [each.name for each in SCHOOL.tables]
    assert names(relevant) == [name for name in order if name in names(relevant)]
    assert sorted([*names(relevant), *relevant.left_out_tables], key=order.index) == order


def test_keys_to_tables_that_are_not_shown_are_not_shown():
    relevant = cut("teaches", 9)
    shown = set(names(relevant))
    assert "teaches" in shown
    assert "class" not in shown
    assert all(key.table in shown for each in relevant.schema.tables for key in each.foreign_keys)


def test_a_wide_table_keeps_its_keys_and_what_the_question_speaks_of():
    wide = table("people", "id", *(f"field_{number}" for number in range(500)), "shoe size", key=("id",))
    relevant = cut("Who has the largest shoes?", 100, Schema((wide, *SCHOOL.tables)))
    (people,) = (each for each in relevant.schema.tables if each.name == "people")
    kept = [column.name for column in people.columns]
    assert {"id", "shoe size"} <= set(kept)
    assert 2 < len(kept) < 50
    assert kept == [column.name for column in wide.columns if column.name in kept]
    assert set(relevant.left_out_columns["people"]) == {column.name for column in wide.columns} - set(kept)


def test_something_is_shown_even_when_nothing_fits_or_matches():
    assert len(cut("?", 1).schema.tables) == 1
    assert cut("完全不同", 20).schema.tables


@settings(max_examples=50)
@given(st.text(max_size=60), st.integers(10, 60))
def test_no_cut_exceeds_its_budget_and_the_same_question_gives_the_same(question, budget):
    relevant = cut(question, budget)
    assert count(schema_text(relevant.schema)) <= budget
    assert relevant == cut(question, budget)
    columns = {(each.name, column) for each in SCHOOL.tables for column in each.columns}
    assert {(each.name, column) for each in relevant.schema.tables for column in each.columns} <= columns


def test_a_thousand_tables_are_cut():
    many = Schema(tuple(table(f"table_{n}", "id", "name", f"measure_{n}", f"kind_{n % 7}") for n in range(1_000)))
    relevant = cut("What is measure 777 of table 777?", 200, many)
    assert "table_777" in names(relevant)
    assert len(names(relevant)) + len(relevant.left_out_tables) == 1_000
