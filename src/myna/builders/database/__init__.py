"""Questions and SQL from a person's own database: every pair runs, says something, and is asked as people ask.

`profile` describes the columns, the sampler makes `Query` values, `sql` writes them, `verify` runs them, `lexicon` with
`english` and `chinese` says them, `build` puts them together. Knows no models.
"""
