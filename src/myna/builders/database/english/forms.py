"""The English forms: how sentences open and clauses run, each for training or for testing.

`{v}` is a value, `{c}` a column, `{things}` rows with their conditions, `{head}` and `{rest}` their noun and what
follows it, `{object}` what is asked for, `{owner}` one row's name, `{group}` what rows are grouped by.
"""

from __future__ import annotations

from myna.builders.database.choice import Forms

# What holds of a column, after its name: "height is over 170".
IS = {
    "=": Forms(("is {v}", "is equal to {v}"), ("equals {v}", "is exactly {v}")),
    "<>": Forms(("is not {v}", "isn't {v}", "is different from {v}"), ("differs from {v}",)),
    ">": Forms(
        ("is over {v}", "is greater than {v}", "is more than {v}", "lies above {v}", "must exceed {v}"),
        ("exceeds {v}", "is above {v}"),
    ),
    ">=": Forms(
        (
            "is at least {v}",
            "is {v} or more",
            "isn't less than {v}",
            "isn't lower than {v}",
            "is no less than {v}",
            "must not be lower than {v}",
        ),
        ("is not less than {v}", "is no lower than {v}"),
    ),
    "<": Forms(
        ("is under {v}", "is less than {v}", "is smaller than {v}", "lies below {v}", "must be lower than {v}"),
        ("is below {v}", "is lower than {v}"),
    ),
    "<=": Forms(
        (
            "is at most {v}",
            "is {v} or less",
            "does not exceed {v}",
            "isn't more than {v}",
            "isn't higher than {v}",
            "is no more than {v}",
        ),
        ("is not more than {v}", "is no higher than {v}"),
    ),
}
TEXT_IS = {
    "=": Forms(("is {v}", "must be exactly {v}", "is equal to {v}"), ("is exactly {v}", "equals {v}")),
    "<>": Forms(("is not {v}", "isn't {v}", "may be anything but {v}"), ("is anything but {v}", "is other than {v}")),
}
DATE_IS = {
    "=": Forms(("is {v}", "is on {v}"), ("falls on {v}",)),
    "<>": Forms(("is not {v}", "may be any day but {v}"), ("is any day but {v}",)),
    ">": Forms(("is after {v}", "is later than {v}"), ("comes after {v}",)),
    ">=": Forms(("is {v} or later", "is on or after {v}", "must not be before {v}"), ("is not before {v}",)),
    "<": Forms(("is before {v}", "is earlier than {v}"), ("comes before {v}",)),
    "<=": Forms(("is {v} or earlier", "is on or before {v}", "must not be after {v}"), ("is not after {v}",)),
}
# What one has: "a height over 170".
OF = {
    "=": Forms(("{a_c} of {v}", "{a_c} that is exactly {v}"), ("{a_c} of exactly {v}",)),
    "<>": Forms(("{a_c} other than {v}", "{a_c} that is different from {v}"), ("{a_c} different from {v}",)),
    ">": Forms(
        ("{a_c} over {v}", "{a_c} of more than {v}", "{a_c} that exceeds {v}", "{a_c} that is above {v}"),
        ("{a_c} above {v}", "{a_c} exceeding {v}"),
    ),
    ">=": Forms(
        ("{a_c} of at least {v}", "{a_c} of {v} or more", "{a_c} that is no less than {v}", "{a_c} no lower than {v}"),
        ("{a_c} of no less than {v}",),
    ),
    "<": Forms(("{a_c} under {v}", "{a_c} of less than {v}", "{a_c} that is below {v}"), ("{a_c} below {v}",)),
    "<=": Forms(
        ("{a_c} of at most {v}", "{a_c} of {v} or less", "{a_c} that is no more than {v}", "{a_c} no higher than {v}"),
        ("{a_c} of no more than {v}",),
    ),
}
COUNT_OF = {
    "=": Forms(("exactly {v} {c}", "just {v} {c}, precisely"), ("precisely {v} {c}",)),
    "<>": Forms(("a number of {c} other than {v}",), ("not exactly {v} {c}",)),
    ">": Forms(("more than {v} {c}", "over {v} {c}", "a number of {c} greater than {v}"), ("greater than {v} {c}",)),
    ">=": Forms(("at least {v} {c}", "{v} or more {c}", "not fewer than {v} {c}"), ("no fewer than {v} {c}",)),
    "<": Forms(("fewer than {v} {c}", "less than {v} {c}", "a number of {c} under {v}"), ("under {v} {c}",)),
    "<=": Forms(("at most {v} {c}", "{v} or fewer {c}", "not more than {v} {c}"), ("no more than {v} {c}",)),
}
BETWEEN_IS = Forms(
    ("is between {low} and {high}", "is from {low} to {high}", "is in the range from {low} to {high}"),
    ("lies between {low} and {high}", "ranges from {low} to {high}"),
)
BETWEEN_OF = Forms(
    ("{a_c} between {low} and {high}", "{a_c} that is from {low} to {high}"), ("{a_c} from {low} to {high}",)
)
NAMED = Forms(("named {v}", "called {v}"), ("with the name {v}",))
TITLED = Forms(("titled {v}", "called {v}"), ("with the title {v}",))
MATCHES = {
    "begins": Forms(("starts with {v}", "begins with {v}", "has {v} as its beginning"), ("has {v} at the beginning",)),
    "ends": Forms(("ends with {v}", "ends in {v}", "has {v} as its end"), ("has {v} at the end",)),
    "contains": Forms(("contains {v}", "includes {v}", "has {v} somewhere in it"), ("has {v} in it",)),
}
MATCHES_NOT = {
    "begins": Forms(("does not start with {v}", "doesn't begin with {v}"), ("has no {v} at the beginning",)),
    "ends": Forms(("does not end with {v}", "doesn't end in {v}"), ("has no {v} at the end",)),
    "contains": Forms(("does not contain {v}", "doesn't include {v}"), ("has no {v} in it",)),
}
ONE_OF = Forms(("is {alternatives}", "is either {alternatives}", "is any one of {listed}"), ("is one of {listed}",))
NONE_OF = Forms(("is neither {neither}", "is not {alternatives}", "may be none of {listed}"), ("is none of {listed}",))
UNKNOWN = Forms(
    ("is missing", "is unknown", "is empty", "was never given", "was not recorded"),
    ("is not given", "has not been recorded"),
)
KNOWN = Forms(
    ("is known", "is given", "is not empty", "was recorded", "stands on record"), ("has been recorded", "is on record")
)
ABOVE_AVERAGE = {
    ">": Forms(("is above {average}", "is higher than {average}", "must exceed {average}"), ("exceeds {average}",)),
    "<": Forms(
        ("is below {average}", "is lower than {average}", "comes short of {average}"), ("falls short of {average}",)
    ),
    ">=": Forms(("is at least {average}", "must be no lower than {average}"), ("is no lower than {average}",)),
    "<=": Forms(("is at most {average}", "must be no higher than {average}"), ("is no higher than {average}",)),
}
IN_YEAR = {
    "=": Forms(("is in {v}", "falls in {v}"), ("lies in {v}",)),
    ">": Forms(("is after {v}", "is later than {v}"), ("comes after {v}",)),
    "<": Forms(("is before {v}", "is earlier than {v}"), ("comes before {v}",)),
    ">=": Forms(("is in {v} or later",), ("is in or after {v}",)),
    "<=": Forms(("is in {v} or earlier",), ("is in or before {v}",)),
}

# Sentences. An opening takes what is asked for: "the names of students in Berlin".
ASK = Forms(
    (
        "What {are} {object}?",
        "List {object}.",
        "Show {object}.",
        "Show me {object}.",
        "Give me {object}.",
        "Find {object}.",
        "Please list {object}.",
        "Can you show me {object}?",
        "I want to know {object}.",
        "{object}",
    ),
    (
        "Tell me {object}.",
        "Query {object}.",
        "Return {object}.",
        "Could you give me {object}?",
        "I need {object}.",
        "I would like to know {object}.",
        "Look up {object}, please.",
    ),
)
OF_THINGS = Forms(
    ("the {columns} of {things}", "the {columns} of all {things}", "for {things}, the {columns}"),
    ("the {columns} for {things}", "the {columns} for all {things}"),
)
OF_EACH = Forms(("the {column} of each {thing}", "for every {thing}, the {column}"), ("the {column} of every {thing}",))
ALL_OF = Forms(
    (
        "all information about {things}",
        "all the data on {things}",
        "everything about {things}",
        "the full records of {things}",
    ),
    ("everything we know about {things}", "the complete records of {things}"),
)
OF_ONE = Forms(("{owner}'s {column}", "the {column} of {owner}"), ("{owner}'s {column} information",))
ALL_OF_ONE = Forms(
    ("all of {owner}'s information", "all the data on {owner}"),
    ("all information about {owner}", "everything we know about {owner}"),
)
DIFFERENT = Forms(
    (
        "the different {columns} of {things}",
        "the distinct {columns} of {things}",
        "only once each, the {columns} of {things}",
    ),
    ("the {columns} of {things}, each only once",),
)
WHICH_DIFFERENT = Forms(
    ("Which {columns} do {things} have?", "What different {columns} do {things} have?"),
    ("Which {columns} occur among {things}?",),
)
HOW_MANY = Forms(
    (
        "How many {things} are there?",
        "How many {things} do we have?",
        "Count the {things}.",
        "Count how many {head} there are{rest}.",
        "What is the number of {things}?",
        "Please count the {things}.",
        "number of {things}",
        "Give me the number of {things}.",
    ),
    (
        "Tell me how many {things} exist.",
        "What is the count of {things}?",
        "Could you tell me how many {things} there are?",
        "I want to know the total number of {things}.",
    ),
)
HOW_MANY_DIFFERENT = Forms(
    (
        "How many different {columns} do {things} have?",
        "How many distinct {columns} are there among {things}?",
        "Count how many different {columns} {things} have.",
    ),
    ("Count the different {columns} of {things}.", "Across {things}, how many different {columns} occur?"),
)
WHICH_SUPERLATIVE = Forms(
    (
        "Which {n}{head}{rest} {has} the {most} {c}?",
        "Find the {n}{head}{rest} that {has} the {most} {c}, by {naming}.",
        "To which {n}{head}{rest} does the {most} {c} belong?",
    ),
    ("The {most} {c} belongs to which {n}{head}{rest}?",),
)
WITH_SUPERLATIVE = Forms(("the {n}{head} with the {most} {c}{rest}",), ("the {n}{head} having the {most} {c}{rest}",))
TOP = Forms(("the top {n} {head} by {c}{rest}",), ("the first {n} {head} in terms of {c}{rest}",))
BOTTOM = Forms(("the bottom {n} {head} by {c}{rest}",), ("the last {n} {head} in terms of {c}{rest}",))
ALPHABETICAL = {
    False: Forms(
        (" in alphabetical order of {c}", ", sorted alphabetically by {c}", " from A to Z by {c}"),
        (", arranged by {c} from A to Z",),
    ),
    True: Forms((" in reverse alphabetical order of {c}", " from Z to A by {c}"), (", arranged by {c} from Z to A",)),
}
SORTED = Forms(
    (
        ", sorted by {c} in {direction} order",
        " in {direction} order of {c}",
        ", ordered by {c} from {first} to {last}",
        ", arranged in {direction} order of {c}",
        ", those of the {first} {c} first",
    ),
    (", arranged by {c} from {first} to {last}", ", with the {first} {c} first"),
)
THEN = Forms(
    (", sorted by {c}, {direction}, and then by {d}, {other}",),
    (", first by {c} ({direction}), then by {d} ({other})",),
)
FOR_EACH = Forms(
    (
        "What is the {quantity} for each {group}?",
        "For each {group}, what is the {quantity}?",
        "Show the {quantity} for each {group}.",
        "List the {quantity} by {group}.",
        "{quantity} per {group}",
        "For every {group}, give me the {quantity}.",
        "Group by {group} and give the {quantity}.",
        "Give a breakdown of the {quantity} by {group}.",
    ),
    (
        "Break down the {quantity} by {group}.",
        "Give each {group} together with the {quantity}.",
        "Grouped by {group}, what is the {quantity}?",
        "Tell me the {quantity} for every single {group}.",
    ),
)
FOR_EACH_SEVERAL = Forms(
    (
        "What are the {quantity} for each {group}?",
        "For each {group}, what are the {quantity}?",
        "Show the {quantity} for each {group}.",
        "{quantity} per {group}",
        "Group by {group} and tell me the {quantity}.",
    ),
    ("Break down the {quantity} by {group}.", "Grouped by {group}, tell me the {quantity}."),
)
HOW_MANY_EACH = Forms(
    (
        "How many {things} are there for each {group}?",
        "For each {group}, how many {things} are there?",
        "Count the {things} for each {group}.",
        "For every single {group}, how many {things} are there?",
        "By {group}, give me the number of {things}.",
    ),
    ("For every single {group}, count the {things}.", "Give me a count of the {things} by {group}."),
)
WHICH_GROUPS = Forms(
    (
        "Which {groups} have {having}?",
        "List the {groups} that have {having}.",
        "Find the {groups} with {having}.",
        "Name the {groups} that have {having}.",
    ),
    ("Name all {groups} that have {having}.", "Which are the {groups} with {having}?"),
)
WHICH_GROUP_MOST = Forms(
    ("Which {group} has the {most}?", "What is the {group} with the {most}?", "Find the {group} with the {most}."),
    ("Tell me which {group} has the {most}.", "Name the {group} that has the {most}."),
)
WHICH_GROUPS_MOST = Forms(
    (
        "Which {n} {groups} have the {most}?",
        "List the {n} {groups} with the {most}.",
        "Name {n} {groups}: those that have the {most}.",
    ),
    ("Name the {n} {groups} that have the {most}.",),
)
AND_QUANTITY = Forms(
    (
        "{sentence} Show the {quantity} too.",
        "{sentence} Also give the {quantity}.",
        "{sentence} I want the {quantity} as well.",
    ),
    ("{sentence} I also want to see the {quantity}.",),
)
CONSIDERING = Forms(
    ("Considering only {things}: {sentence}", "Among {things}: {sentence}", "Taking {things} only: {sentence}"),
    ("Taking only {things} into account: {sentence}",),
)
EXCEPT = Forms(
    ("{object}, but not of {others}", "{object}, leaving out those of {others}"),
    ("{object}, excluding those of {others}",),
)
EXCEPT_OTHER = Forms(("{object} that are not {other}",), ("{object} that do not occur among {other}",))
INTERSECT = Forms(
    ("the {columns} shared by {things} and {others}", "the {columns} that both {things} and {others} have"),
    ("the {columns} that {things} have in common with {others}",),
)
UNION = Forms(
    ("{object}, together with those of {others}", "{object}, as well as those of {others}"),
    ("{object}, along with those of {others}",),
)
HINT = Forms(
    ("The value for {name} is {value}.", "{Name} means {c} {value}.", "For {name}, {value} is stored."),
    ("{Name} is stored as {value}.",),
)
