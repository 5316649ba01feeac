"""The functions and pragmas of SQLite that only compute or only read.

A list of the harmless, not of the harmful: what a future or special build of SQLite adds is refused until it stands
here. Left out on purpose: load_extension, fts3_tokenizer, fts5, optimize (merges an index), sqlite_log, readfile,
writefile, edit, rtreecheck and the internal ones. Sources: https://www.sqlite.org/lang_corefunc.html,
lang_aggfunc.html, lang_datefunc.html, lang_mathfunc.html, windowfunctions.html, json1.html, fts3.html, fts5.html.
"""

from __future__ import annotations

_SCALAR = """
abs changes char coalesce concat concat_ws format glob hex ifnull if iif instr last_insert_rowid length like
likelihood likely lower ltrim match max min nullif octet_length printf quote random randomblob regexp replace round
rtrim sign soundex sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id sqlite_version substr substring
subtype total_changes trim typeof unhex unicode unistr unistr_quote unlikely upper zeroblob
"""
_DATE = "date time datetime julianday unixepoch strftime timediff current_date current_time current_timestamp"
_AGGREGATE = """
avg count group_concat string_agg sum total median percentile percentile_cont percentile_disc
row_number rank dense_rank percent_rank cume_dist ntile lag lead first_value last_value nth_value
"""
_MATH = """
acos acosh asin asinh atan atan2 atanh ceil ceiling cos cosh degrees exp floor ln log log10 log2 mod pi pow power
radians sin sinh sqrt tan tanh trunc
"""
_JSON = """
-> ->> json jsonb json_array jsonb_array json_array_insert jsonb_array_insert json_array_length json_error_position
json_extract jsonb_extract json_group_array jsonb_group_array json_group_object jsonb_group_object json_insert
jsonb_insert json_object jsonb_object json_patch jsonb_patch json_pretty json_quote json_remove jsonb_remove
json_replace jsonb_replace json_set jsonb_set json_type json_valid
"""
_FULL_TEXT = "bm25 highlight snippet offsets matchinfo"

HARMLESS_FUNCTIONS = frozenset(" ".join((_SCALAR, _DATE, _AGGREGATE, _MATH, _JSON, _FULL_TEXT)).split())

# Those that describe tables, as `SELECT … FROM pragma_table_info('t')`; the last one SQLite's full-text search asks.
HARMLESS_PRAGMAS = frozenset(
    {
        "table_info",
        "table_xinfo",
        "table_list",
        "foreign_key_list",
        "index_list",
        "index_info",
        "index_xinfo",
        "data_version",
    }
)
