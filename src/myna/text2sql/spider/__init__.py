"""The Spider benchmark's own forms and rules: exact set match, hardness, values in double quotes, official files.

SQL, Spider's files and our `Schema` go in; the verdicts and files of the published evaluators come out
(Yu et al. 2018, "Spider: A Large-Scale Human-Labeled Dataset …", and the evaluators its authors publish). Runs no SQL.
"""

from myna.text2sql.spider.files import one_line, read_schemas, write_gold, write_predictions
from myna.text2sql.spider.matching import COMPONENTS, component_matches, exact_set_match, hardness
from myna.text2sql.spider.values import single_quoted_values

__all__ = [
    "COMPONENTS",
    "component_matches",
    "exact_set_match",
    "hardness",
    "one_line",
    "read_schemas",
    "single_quoted_values",
    "write_gold",
    "write_predictions",
]
