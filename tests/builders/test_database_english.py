"""Queries in English: natural, unambiguous, the same for the same seed, and never of a form of the other side."""

from __future__ import annotations

import random
import re
import sqlite3
from pathlib import Path

import pytest

from article_questions import article_questions
from myna.builders.database.choice import Forms
from myna.builders.database.english import forms
from myna.builders.database.english.conditions import agreeing
from myna.builders.database.lexicon import Lexicon
from myna.builders.database.phrasing import phrasings
from myna.builders.database.profile import Profile, profile
from myna.builders.database.query import (
    AgainstAggregate,
    Aggregate,
    Arithmetic,
    Between,
    ColumnOf,
    Comparison,
    DatePart,
    Having,
    InQuery,
    Join,
    Matches,
    Missing,
    OneOf,
    Order,
    Query,
    Rows,
    SetOperation,
    Where,
)
from myna.builders.database.sampling import sample_queries
from myna.databases import Database
from question_school import (
    SIDES,
    TO_SCHOOL,
    all_forms,
    said,
    school,
    school_lexicon,
    school_profile,
    student,
    students_where,
)

COUNT = Aggregate("count", Rows("students"))


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    return school_profile(tmp_path_factory.mktemp("school"))


@pytest.fixture(scope="module")
def lexicon(found: Profile) -> Lexicon:
    return school_lexicon(found)


def ways(query: Query, lexicon: Lexicon, *, count: int = 400) -> set[str]:
    """All that is said of a query with many seeds, on both sides."""
    spoken = (said(query, lexicon, "en", side, seed) for side in SIDES for seed in range(count))
    return {each.text for each in spoken if each}


@pytest.mark.parametrize(("question", "query"), [(each.english, each.query) for each in article_questions()])
def test_the_questions_of_the_articles_are_among_ours(question: str, query: Query, lexicon: Lexicon) -> None:
    assert question in ways(query, lexicon, count=3000)


OF_STUDENT = Join(((student("student_id"), ColumnOf("cars", "owner_id")),))
CASES = [
    (
        Query(
            (student("School"), student("Grade")),
            "students",
            group_by=(student("School"), student("Grade")),
            having=Having(COUNT, ">", 1),
        ),
        "combinations of school and grade",
    ),
    (  # what is said of the owner's school is said of the owner, not of what is owned
        Query(
            (student("Name"),),
            "students",
            (OF_STUDENT, TO_SCHOOL),
            Where(
                (
                    Comparison(ColumnOf("cars", "price"), ">", 12000),
                    Comparison(school("City"), "=", "Beijing"),
                )
            ),
            distinct=True,
        ),
        "students whose school is in Beijing and who have cars",
    ),
    (students_where(Comparison(student("Height"), ">", 170)), "taller than 170"),
    (students_where(Comparison(student("Age"), "<", 14)), "younger than 14"),
    (students_where(Comparison(student("Age"), ">=", 14)), "an age of at least 14"),
    (students_where(Comparison(student("Age"), ">", 14)), "whose age is over 14"),
    (students_where(Between(student("Age"), 13, 15)), "whose age is between 13 and 15"),
    (students_where(Matches(student("Name"), "begins", "Wang")), 'whose name starts with "Wang"'),
    (students_where(Matches(student("Name"), "contains", "an", negated=True)), 'does not contain "an"'),
    (students_where(Missing(student("phone_number"))), "with no phone number"),
    (students_where(Missing(student("phone_number"), negated=True)), "with a phone number"),
    (students_where(OneOf(student("Age"), (12, 13))), "whose age is 12 or 13"),
    (students_where(Comparison(student("Grade"), "=", 9)), "in ninth grade"),
    (students_where(Comparison(student("School"), "=", "Riverside School")), "at Riverside School"),
    (students_where(DatePart(student("dateOfBirth"), "year", "=", 2010)), "born in 2010"),
    (students_where(DatePart(student("dateOfBirth"), "month", "=", 3)), "born in March"),
    (students_where(DatePart(student("dateOfBirth"), "month", "=", 3, of=2010)), "born in March 2010"),
    (students_where(DatePart(student("dateOfBirth"), "month", "=", 3, of=2010)), "is in March 2010"),
    (students_where(Comparison(student("dateOfBirth"), "<", "2010-03-04")), "born before 2010-03-04"),
    (students_where(Comparison(student("dateOfBirth"), "<", "2010-03-04")), "born before March 4, 2010"),
    (
        students_where(AgainstAggregate(student("Height"), ">", Aggregate("avg", student("Height")))),
        "taller than the average of all students",
    ),
    (
        Query((student("Name"),), "students", order_by=(Order(student("Height"), True),), limit=3),
        "the three tallest students",
    ),
    (
        Query((student("Name"),), "students", order_by=(Order(student("Age"), True),), limit=1),
        "Who is the oldest student?",
    ),
    (
        Query((student("Name"),), "students", order_by=(Order(student("dateOfBirth"), True),), limit=1),
        "the youngest student",
    ),
    (
        Query((student("Name"),), "students", order_by=(Order(student("Weight"), True),), limit=5),
        "the top 5 students by weight",
    ),
    (Query((student("Name"),), "students", order_by=(Order(student("Name"), False),)), "in alphabetical order of name"),
    (
        Query((student("School"), COUNT), "students", group_by=(student("School"),)),
        "How many students are there for each school?",
    ),
    (
        Query((school("Name"),), "students", (TO_SCHOOL,), None, (school("SchoolID"),), Having(COUNT, ">", 3)),
        "Which schools have more than 3 students?",
    ),
    (
        Query(
            (school("Name"),),
            "students",
            (TO_SCHOOL,),
            group_by=(school("SchoolID"),),
            order_by=(Order(COUNT, True),),
            limit=1,
        ),
        "Which school has the most students?",
    ),
    (
        Query((student("Name"),), "students", (TO_SCHOOL,), Where((Comparison(school("City"), "=", "Beijing"),))),
        "students whose school is in Beijing",
    ),
    (
        Query((student("Name"),), "students", (TO_SCHOOL,), Where((Comparison(school("numOfStaff"), ">", 30),))),
        "students whose school has more than 30 staff",
    ),
    (Query((student("Name"), school("Name")), "students", (TO_SCHOOL,)), "names and school names of"),
    (
        Query(
            (school("Name"),),
            "schools",
            where=Where((InQuery(school("SchoolID"), Query((student("school_id"),), "students"), negated=True),)),
        ),
        "schools with no students",
    ),
    (
        Query(
            (student("School"),),
            "students",
            where=Where((Comparison(student("Age"), ">", 14),)),
            set_operation=SetOperation("except", students_where(Comparison(student("Grade"), "=", 8), select="School")),
        ),
        ", but not of students",
    ),
    (
        Query(
            (ColumnOf("cars", "model"),), "cars", where=Where((Comparison(ColumnOf("cars", "maxSpeedKmh"), ">", 120),))
        ),
        "faster than 120 km/h",
    ),
    (
        Query((ColumnOf("cars", "model"),), "cars", order_by=(Order(ColumnOf("cars", "price"), False),), limit=1),
        "the model of the cheapest car",
    ),
    (
        Query(
            (ColumnOf("cars", "model"), Arithmetic("-", ColumnOf("cars", "price"), ColumnOf("cars", "cost"))), "cars"
        ),
        "difference between price and cost",
    ),
    (
        Query(
            (Aggregate("min", student("Age")), Aggregate("max", student("Age")), Aggregate("avg", student("Age"))),
            "students",
        ),
        "lowest, highest and average age of students",
    ),
]


@pytest.mark.parametrize(("query", "words"), CASES, ids=[words for _, words in CASES])
def test_it_is_said_as_people_say_it(query: Query, words: str, lexicon: Lexicon) -> None:
    assert any(words in question for question in ways(query, lexicon)), sorted(ways(query, lexicon))[:20]


def test_or_and_and_can_not_be_misread(lexicon: Lexicon) -> None:
    conditions = (Comparison(student("Age"), "=", 12), Comparison(student("Height"), ">", 160))
    for question in ways(students_where(*conditions, either=True), lexicon):
        assert re.search(r" or (who|whose|are|have|is|has) ", question), question
    assert not any(" or " in each for each in ways(students_where(*conditions), lexicon))


AMBIGUOUS = [
    Query(  # the highest lowest age
        (student("School"),),
        "students",
        group_by=(student("School"),),
        order_by=(Order(Aggregate("min", student("Age")), True),),
        limit=1,
    ),
    Query((student("Name"),), "students", limit=3),
    Query((COUNT,), "students", group_by=(student("School"),)),
    Query((student("Name"), COUNT), "students"),
    Query((student("Name"), student("Name")), "students"),
    students_where(Comparison(student("Name"), "<", "Li")),
    students_where(AgainstAggregate(student("Height"), ">", Aggregate("avg", student("Weight")))),
]


@pytest.mark.parametrize("query", AMBIGUOUS)
def test_what_could_mean_two_things_is_not_asked(query: Query, lexicon: Lexicon) -> None:
    assert not ways(query, lexicon, count=30)


def sentences() -> list[Forms]:
    return all_forms(vars(forms))


def test_no_form_belongs_to_both_sides_and_each_side_has_some() -> None:
    def plain(form: str) -> str:
        return re.sub(r"\W+", " ", re.sub(r"\{\w+\}", "_", form)).casefold().strip()

    for each in sentences():
        train, test = ({plain(form) for form in each.of(side)} for side in ("train", "test"))
        assert train
        assert test
        assert not train & test


def test_the_verb_of_every_form_agrees_with_a_plural() -> None:
    verbs = {form.split()[0] for name in ("IS", "DATE_IS", "UNKNOWN", "KNOWN", "MATCHES", "ONE_OF", "ABOVE_AVERAGE")
             for each in all_forms({name: vars(forms)[name]}) for form in (*each.train, *each.test)}  # fmt: skip
    said = {agreeing("points", verb).partition(" ")[2] for verb in verbs}
    assert {"are", "were", "have", "do", "must", "lie", "may"} <= said
    assert not said & {"is", "was", "wa", "has", "doe", "doesn't"}


def test_a_form_of_testing_compares_in_words_that_training_has_in_others() -> None:
    """Nobody can know that "no less than" is >= who never was told; how the words are put together has to be new."""
    compared = {"IS", "TEXT_IS", "DATE_IS", "OF", "COUNT_OF", "BETWEEN_IS", "BETWEEN_OF", "ONE_OF", "ABOVE_AVERAGE"}

    def stems(form: str) -> set[str]:
        return {word[:5] for word in re.findall(r"[a-z]+", re.sub(r"\{\w+\}", " ", form))}

    told = {stem for each in sentences() for form in each.train for stem in stems(form)}
    for each in all_forms({name: value for name, value in vars(forms).items() if name in compared}):
        assert {stem for form in each.test for stem in stems(form)} <= told


def test_no_form_of_a_test_question_is_in_a_training_question(found: Profile, lexicon: Lexicon) -> None:
    used: dict[str, set[str]] = {"train": set(), "test": set()}
    for number, query in enumerate(sample_queries(found, seed=3, count=300)):
        for side in SIDES:
            phrasing = said(query, lexicon, "en", side, number)
            if phrasing:
                used[side] |= set(phrasing.forms)
                assert phrasing.forms
    assert len(used["train"]) > 50
    assert len(used["test"]) > 40
    assert not used["train"] & used["test"]


def test_most_sampled_queries_can_be_said_and_read_as_sentences(found: Profile, lexicon: Lexicon) -> None:
    queries = list(sample_queries(found, seed=5, count=300))
    spoken = [said(query, lexicon, "en", "train", 7) for query in queries]
    questions = [each.text for each in spoken if each]
    assert len(questions) > 0.85 * len(queries)
    for question in questions:
        assert "  " not in question
        assert "{" not in question
        assert not re.search(r"\ba [aeiou](?!ni|ne|se)|\ban [^aeiouhAEFHILMNORSX\"]", question), question
        assert not re.search(r"\b(of of|the the|with with|is is|and and)\b", question), question


@pytest.mark.parametrize("descending", [True, False])
def test_the_first_few_by_date_are_the_latest_or_the_earliest_never_the_top_or_the_last(
    lexicon: Lexicon, descending: bool
) -> None:
    query = Query((student("Name"),), "students", order_by=(Order(student("dateOfBirth"), descending),), limit=3)
    for side in ("train", "test"):
        said = phrasings(query, lexicon, "en", side=side, random=random.Random(1), count=30)
        assert len(said) > 3
        for each in said:
            assert not re.search(r"\b(top|bottom|last|first)\b", each.text), each.text


def test_the_same_seed_gives_the_same_question_and_several_are_different(lexicon: Lexicon) -> None:
    query = students_where(Comparison(student("Age"), ">", 14), Comparison(student("Height"), ">", 160))
    first, second = (phrasings(query, lexicon, "en", side="train", random=random.Random(4), count=5) for _ in range(2))
    assert first == second
    assert len({each.text for each in first}) == 5
    assert len({each.forms[0] for each in first}) >= 4


def test_a_hint_is_said_once_and_with_its_value(lexicon: Lexicon) -> None:
    query = students_where(Comparison(student("Grade"), "=", 9))
    hinted = [each for each in ways(query, lexicon) if re.search(r"[.?] (The value|Ninth)", each)]
    assert hinted
    assert all(re.search(r"\b9\b", each) for each in hinted)
    assert any(each.endswith("The value for ninth grade is 9.") for each in hinted)


def test_what_a_table_of_keys_links_is_said_of_what_is_linked(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "d.sqlite") as connection:
        connection.executescript(
            """
            CREATE TABLE films (id INTEGER PRIMARY KEY, title TEXT);
            CREATE TABLE genres (id INTEGER PRIMARY KEY, name TEXT);
            CREATE TABLE film_genre (film_id INT REFERENCES films, genre_id INT REFERENCES genres);
            """
        )
        connection.executemany("INSERT INTO films VALUES (?, ?)", [(n, f"Film {n}") for n in range(20)])
        connection.executemany("INSERT INTO genres VALUES (?, ?)", [(0, "Drama"), (1, "Horror"), (2, "Comedy")])
        connection.executemany("INSERT INTO film_genre VALUES (?, ?)", [(n, n % 3) for n in range(20)])
    connection.close()
    with Database.open(tmp_path / "d.sqlite") as database:
        lexicon = Lexicon.of(profile(database))

    def of(table: str, column: str) -> ColumnOf:
        return ColumnOf(table, column)

    joins = (
        Join(((of("films", "id"), of("film_genre", "film_id")),)),
        Join(((of("film_genre", "genre_id"), of("genres", "id")),)),
    )
    where = Where((Comparison(of("genres", "name"), "=", "Drama"),))
    said = ways(Query((of("films", "title"),), "films", joins, where), lexicon, count=60)
    assert said
    assert not any("film genre" in question for question in said)
    assert any("films that have genres" in question for question in said)
