import json

from hypothesis import given
from hypothesis import strategies as st

from myna.text2sql.prompt import question_messages

SCHEMA = "students(Name text, Grade number)"


def test_the_schema_is_in_the_system_message_and_the_question_in_the_users():
    assert question_messages(SCHEMA, " How many students? \n") == (
        {"role": "system", "content": f"Answer with one SQLite query only.\n{SCHEMA}"},
        {"role": "user", "content": "How many students?"},
    )


def test_hints_follow_the_question():
    _, user = question_messages(SCHEMA, "How old is wang junjian?", hints=["Name = 'Wang Junjian'", "Grade = 9"])
    assert user["content"] == "How old is wang junjian?\nHints: Name = 'Wang Junjian'; Grade = 9"


def test_the_dialect_is_called_by_its_own_name():
    for dialect, name in (("postgres", "PostgreSQL"), ("mysql", "MySQL"), ("duckdb", "DuckDB"), ("oracle", "oracle")):
        assert question_messages(SCHEMA, "?", dialect=dialect)[0]["content"].startswith(f"Answer with one {name} query")


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_questions_of_one_database_share_the_system_message(schema, question, hints):
    first, second = question_messages(schema, question, hints=hints), question_messages(schema, "another")
    assert first[0] == second[0]
    assert first[0]["content"].endswith(schema)
    assert first[1]["content"].startswith(question.strip())
    assert json.loads(json.dumps(first)) == list(first)
