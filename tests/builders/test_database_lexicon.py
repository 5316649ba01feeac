"""Names of tables, columns and values become the words that people use for them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.builders.database.glossary import Glossary, read_glossary
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.profile import ColumnProfile, Profile, TableProfile, profile
from myna.builders.database.query import ColumnOf
from myna.builders.database.vocabulary import chinese_of, english_of, measure_word
from myna.builders.database.words import (
    identifier_words,
    numbered,
    plural,
    singular,
    with_article,
)
from myna.databases import Column, Database, Schema, Table
from myna.errors import DataError
from question_school import school, school_lexicon, school_profile, student


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return school_profile(tmp_path_factory.mktemp("school"))


@pytest.mark.parametrize(
    ("name", "words", "unit"),
    [
        ("maxSpeedKmh", "maximum speed", "km/h"),
        ("Height (cm)", "height", "cm"),
        ("Budget_in_Billions", "budget", "billion"),
        ("stuid", "stuid", None),
        ("student_id", "student ID", None),
        ("numEmployees", "number of employees", None),
        ("Number_in_season", "number in season", None),
        ("Directed_by", "director", None),
        ("dept_name", "department name", None),
        ("HTTPPort2", "HTTP port 2", None),
        ("DOB", "date of birth", None),
        ("身高", "身高", None),
        ("体重(公斤)", "体重", "kg"),
        ("days", "days", None),
        ("start_min", "start minute", None),
        ("class_a", "class A", None),
        ("founded_by", "founded by", None),
        ("pcp", "PCP", None),
        ("ACC_Home", "ACC home", None),
        ("userIDs", "user IDs", None),
        ("d3", "d3", None),
        ("address1", "address 1", None),
        ("1st_place", "1 st place", None),
        ("date_from", "start date", None),
        ("sec_id", "section ID", None),
    ],
)
def test_an_identifier_is_read_as_its_words(name: str, words: str, unit: str | None) -> None:
    parts, found_unit = identifier_words(name)
    assert numbered(parts) == words
    assert (found_unit.english if found_unit else None) == unit


@given(st.text(max_size=30))
def test_any_name_can_be_split(name: str) -> None:
    parts, _ = identifier_words(name)
    assert all(part.strip() for part in parts)


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("student", "students"),
        ("city", "cities"),
        ("person", "people"),
        ("date of birth", "dates of birth"),
        ("reports to", "reports to"),
        ("status", "statuses"),
        ("class", "classes"),
        ("ID", "IDs"),
        ("movie", "movies"),
        ("day", "days"),
        ("address", "addresses"),
        ("course", "courses"),
        ("box", "boxes"),
        ("series", "series"),
        ("学生", "学生"),
    ],
)
def test_plurals_and_singulars_are_each_others(one: str, many: str) -> None:
    assert plural(one) == many
    assert singular(many) == one
    assert plural(many) == many


@pytest.mark.parametrize(
    ("noun", "said"),
    [
        ("age", "an age"),
        ("university", "a university"),
        ("hour", "an hour"),
        ("ID", "an ID"),
        ("URL", "a URL"),
        ("unit price", "a unit price"),
        ("unknown", "an unknown"),
    ],
)
def test_the_article_follows_the_sound(noun: str, said: str) -> None:
    assert with_article(noun) == said


def test_common_words_have_their_chinese_and_others_stay() -> None:
    assert chinese_of(("school", "name")) == "学校名称"
    assert chinese_of(("number", "of", "employees")) == "员工人数"
    assert chinese_of(("date", "of", "birth")) == "出生日期"
    assert chinese_of(("pommel", "horse")) is None
    assert english_of("入职日期") == "hire date"
    assert english_of("出生日期") == "date of birth"
    assert english_of("鞍马") is None
    assert [measure_word(noun) for noun in ("学生", "学校", "汽车", "图书", "东西")] == ["名", "所", "辆", "本", "个"]


def test_a_date_says_that_it_is_one(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "club.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE members (name TEXT, joined_on DATE, seen_at DATE, born DATE, carried_on TEXT)")
        connection.execute("INSERT INTO members VALUES ('Ann', '2020-01-02', '2021-03-04', '1980-05-06', 'yes')")
        connection.execute("INSERT INTO members VALUES ('Bo', '2020-01-03', '2021-03-05', '1981-05-06', 'no')")
    with Database.open(tmp_path / "club.sqlite") as database:
        words = Lexicon.of(profile(database), Glossary()).columns
    said = {column.column: found.english[0] for column, found in words.items()}
    assert said == {
        "name": "name",
        "joined_on": "joining date",
        "seen_at": "seen date",
        "born": "birth date",
        "carried_on": "carried on",
    }


def test_columns_are_called_by_their_words_without_what_they_are_of(found: Profile) -> None:
    lexicon = school_lexicon(found)
    assert lexicon.columns[student("phone_number")].english == ("phone number",)
    assert lexicon.columns[student("phone_number")].chinese == ("电话号码",)
    assert lexicon.columns[student("student_id")].english == ("ID",)
    assert lexicon.columns[student("Name")].chinese == ("姓名",)
    assert lexicon.columns[school("Name")].chinese == ("名称",)
    assert lexicon.columns[school("numOfStaff")].english == ("number of staff",)
    assert lexicon.tables["students"].english == ("student",)
    assert (lexicon.tables["students"].chinese, lexicon.tables["students"].measure) == (("学生",), "名")
    assert lexicon.tables["students"].naming == "Name"
    assert lexicon.relation("cars", "students", "en") == "owner"
    assert lexicon.relation("students", "schools", "zh") == "学校"


def test_grades_of_a_school_are_known_by_their_ordinals(found: Profile) -> None:
    grade = school_lexicon(found).columns[student("Grade")]
    assert grade.value_names(9, "en") == ("ninth grade",)
    assert grade.value_names(9.0, "zh") == ("九年级",)


def _profile(*columns: Column, comment: str = "") -> Profile:
    profiles = {column.name: ColumnProfile(column, "category", 3, 0, values=(1, 2)) for column in columns}
    table = Table("t_person", columns, comment=comment)
    return Profile(Schema((table,)), "postgres", {"t_person": TableProfile("t_person", 3, True, profiles)})


def test_short_comments_are_names_and_long_ones_are_not() -> None:
    named = Column("h1", "int", "number", comment="身高（厘米）")
    explained = Column("h2", "int", "number", comment="Filled in by the nurse on the day that the person is measured")
    english = Column("sal", "int", "number", comment="The monthly salary, before tax")
    lexicon = Lexicon.of(_profile(named, explained, english, comment="人员表"))
    assert lexicon.columns[ColumnOf("t_person", "h1")].chinese == ("身高",)
    assert lexicon.columns[ColumnOf("t_person", "h2")].english == ("h2",)
    assert lexicon.columns[ColumnOf("t_person", "sal")].english[0] == "monthly salary"
    assert lexicon.tables["t_person"].chinese == ("人员",)
    assert lexicon.tables["t_person"].english == ("person",)


def test_a_comment_that_lists_values_names_them() -> None:
    sex = Column("sex", "int", "number", comment="性别: 1=男, 2=女")
    words = Lexicon.of(_profile(sex)).columns[ColumnOf("t_person", "sex")]
    assert words.chinese[0] == "性别"
    assert words.value_names(2, "zh") == ("女",)


def test_two_columns_of_the_same_words_are_ambiguous_and_a_shared_synonym_is_dropped() -> None:
    lexicon = Lexicon.of(
        _profile(
            Column("phone_no", "text", "text"),
            Column("phoneNo", "text", "text"),
            Column("price", "int", "number", comment="amount"),
            Column("cost", "int", "number", comment="amount"),
        )
    )
    assert lexicon.columns[ColumnOf("t_person", "phone_no")].ambiguous
    assert lexicon.columns[ColumnOf("t_person", "phoneNo")].ambiguous
    assert lexicon.columns[ColumnOf("t_person", "price")].english == ("price",)
    assert not lexicon.columns[ColumnOf("t_person", "price")].ambiguous


def test_a_column_called_like_its_table_is_the_name_unless_there_is_one() -> None:
    alone = Lexicon.of(_profile(Column("person", "text", "text"), Column("city", "text", "text")))
    assert alone.columns[ColumnOf("t_person", "person")].english == ("name",)
    both = Lexicon.of(_profile(Column("person", "text", "text"), Column("name", "text", "text")))
    assert both.columns[ColumnOf("t_person", "person")].english == ("person",)
    assert not both.columns[ColumnOf("t_person", "name")].ambiguous


GLOSSARY = """
tables:
  Students:
    names: [pupil, 同学]
    columns:
      grade:
        names: 年级
        values:
          9: [freshman year, 初三]
      Weight:
        names: [body weight, 体重]
"""


def _read(folder: Path, found: Profile, text: str) -> Glossary:
    path = folder / "glossary.yaml"
    path.write_text(text, encoding="utf-8")
    return read_glossary(path, found.schema)


def test_a_glossary_gives_names_and_values_and_its_names_come_first(found: Profile, tmp_path: Path) -> None:
    lexicon = school_lexicon(found, _read(tmp_path, found, GLOSSARY))
    assert lexicon.tables["students"].english == ("pupil", "student")
    assert lexicon.tables["students"].chinese == ("同学",)
    assert lexicon.columns[student("Weight")].english == ("body weight", "weight")
    assert lexicon.columns[student("Grade")].value_names(9, "en") == ("freshman year",)
    assert lexicon.columns[student("Grade")].value_names(9, "zh") == ("初三",)
    assert lexicon.columns[student("Grade")].value_names(10, "zh") == ("十年级",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tables: {students: {columns: {Graed: {names: x}}}}", "no column 'Graed'; did you mean 'Grade'?"),
        ("tables: {studnets: {}}", "no table 'studnets'; did you mean 'students'?"),
        ("tables: {students: {column: {}}}", "unknown key 'column'; did you mean 'columns'?"),
        ("tables: [students]", "expected a mapping"),
        ("- tables", "glossary.yaml:1: expected lines such as 'name: value', found a list"),
        ("tables:\n  students: &x {}\n", "glossary.yaml:2: the anchor &x is not read"),
        (
            "tables: {students: {columns: {Grade: {values: {9: nine, 9.0: neun}}}}}",
            "the value 9 has names in two places",
        ),
        ("tables: {students: {names: [3]}}", "expected names, found 3"),
        ("tables: {students: {columns: {Grade: {values: {8: same, 9: same}}}}}", "'same' is called both 8 and 9"),
        ("a: [\n", "glossary.yaml:1: this is not YAML"),
    ],
)
def test_a_glossary_that_is_wrong_says_where_and_what_would_be_right(
    found: Profile, tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(DataError) as caught:
        _read(tmp_path, found, text)
    assert said in str(caught.value)
    assert "glossary.yaml" in str(caught.value)


def test_an_empty_glossary_says_nothing_and_a_missing_one_is_an_error(found: Profile, tmp_path: Path) -> None:
    assert _read(tmp_path, found, "") == Glossary()
    with pytest.raises(DataError, match="can't read this glossary"):
        read_glossary(tmp_path / "none.yaml", found.schema)


@pytest.mark.parametrize(
    ("table", "english", "chinese"),
    [
        ("takes", "course enrollment", "选课记录"),
        ("Prescribes", "prescription", "处方"),
        ("Affiliated_With", "affiliation", "所属关系"),
        ("On_Call", "on-call shift", "值班记录"),
        ("locations", "location", "地点"),
        ("tbl_customers", "customer", "客户"),
    ],
)
def test_a_table_that_is_called_by_a_verb_has_rows_with_a_name(
    table: str, english: str, chinese: str, tmp_path: Path
) -> None:
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, name TEXT)")
    connection.close()
    with Database.open(tmp_path / "d.sqlite") as database:
        words = Lexicon.of(profile(database)).tables[table]
    assert (words.english[0], words.chinese[0]) == (english, chinese)


def test_a_letter_grade_is_no_year_of_school_and_a_moment_says_that_it_is_a_date(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute('CREATE TABLE exams (grade TEXT, year_grade INTEGER, "start" TEXT)')
        connection.executemany(
            "INSERT INTO exams VALUES (?, ?, ?)", [("AB"[n % 2], n % 12 + 1, f"2024-01-{n + 1:02}") for n in range(24)]
        )
    connection.close()
    with Database.open(tmp_path / "d.sqlite") as database:
        columns = Lexicon.of(profile(database)).columns
    assert columns[ColumnOf("exams", "grade")].chinese == ("成绩",)
    assert columns[ColumnOf("exams", "start")].english == ("start date",)


def test_a_short_form_of_the_table_is_not_said_again(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.execute("CREATE TABLE restaurants (resid INTEGER PRIMARY KEY, res_name TEXT, rest_room INT)")
    connection.close()
    with Database.open(tmp_path / "d.sqlite") as database:
        columns = Lexicon.of(profile(database)).columns
    assert columns[ColumnOf("restaurants", "res_name")].english == ("name",)
    assert columns[ColumnOf("restaurants", "rest_room")].english == ("rest room",)
