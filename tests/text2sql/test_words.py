import pytest
from hypothesis import given
from hypothesis import strategies as st

from myna.text2sql.words import dates, folded, key, key_of, name_words, numbers, singular, words


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("Wang Junjian", "wang-junjian"),
        ("ＷＡＮＧ ＪＵＮＪＩＡＮ", "Wang Junjian"),
        ("São Paulo", "SAO PAULO"),
        ("Straße", "STRASSE"),
        ("310-329 (20)", "310 - 329 (20)"),
        ("1,234.50", "1234.5"),
        ("2.0", "2"),
        ("2020-01-02", "2020/1/2"),
        ("ｶﾞ", "ガ"),
        ("王 军建", "王军建"),
    ],
)
def test_spellings_of_the_same_have_one_key(text, same):
    assert key_of(text) == key_of(same)


@pytest.mark.parametrize(
    ("text", "other"), [("3-2", "32"), ("1.5", "15"), ("12 3", "1 23"), ("Ann", "Anna"), ("+", "-")]
)
def test_different_things_have_different_keys(text, other):
    assert key_of(text) != key_of(other)


@given(st.text())
def test_words_lie_in_the_text_in_order(text):
    found = words(text)
    assert all(0 <= word.start < word.stop <= len(text) for word in found)
    assert [word.start for word in found] == sorted(word.start for word in found)
    assert folded(folded(text)) == folded(text) or not text.isascii()
    if found:
        assert key(found) == key_of(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("students in ninth grade", [9]),
        ("the 9th grade", [9]),
        ("twenty-five of 30", [30, 25]),
        ("three hundred and five apples and two", [305, 2]),
        ("two thousand", [2000]),
        ("more than 1,234.50", [1234.5]),
        ("over 3 million", [3, 3_000_000]),
        ("-5 degrees", [5, -5]),
        ("10-7", [10, 7]),
        ("九年级", [9]),
        ("十二 三百零五 二〇二〇 两万", [12, 305, 2020, 20_000]),
        ("none of them", []),
    ],
)
def test_numbers_are_read_in_digits_and_words(text, expected):
    assert [number.value for number in numbers(text)] == expected


@given(st.text(alphabet="0123456789.,-一二十百千万亿零two hundred and", max_size=40))
def test_any_text_has_numbers_that_lie_in_it(text):
    assert all(0 <= number.start < number.stop <= len(text) for number in numbers(text))


def test_a_number_says_where_it_is():
    text = "twenty five of -3 and 3 million"
    assert [text[number.start : number.stop] for number in numbers(text)] == [
        "3",
        "-3",
        "3",
        "3 million",
        "twenty five",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("between 2020-01-02 and 2021-12-31, not 12020-01-020", ["2020-01-02", "2021-12-31"]),
        ("seen after July 14, 2024 and before 3 Aug 2024", ["2024-07-14", "2024-08-03"]),
        ("on the 1st of may 2024 or Sep. 2nd, 2024", ["2024-05-01", "2024-09-02"]),
        ("早于2024年10月26日", ["2024-10-26"]),
        ("31 February 2024, the marching of 3 2024", []),
    ],
)
def test_days_are_found_however_they_are_written(text, expected):
    assert dates(text) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("maxSpeedsKmh", ["max", "speed", "kmh"]),
        ("Student_ID", ["student", "id"]),
        ("HTTPServer2", ["http", "server", "2"]),
        ("学生表", ["学", "生", "表"]),
        ("Años", ["ano"]),
        ("", []),
    ],
)
def test_names_are_split_into_words(name, expected):
    assert name_words(name) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("cities", "city"),
        ("classes", "class"),
        ("boxes", "box"),
        ("names", "name"),
        ("status", "status"),
        ("bus", "bus"),
    ],
)
def test_plurals_become_singular(word, expected):
    assert singular(word) == expected
