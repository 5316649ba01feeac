"""Databases: read-only access to people's databases. `Database.open(url)`, then `schema`, `prepare(sql)`, `run(sql)`.

A URL and SQL go in, schema and rows come out. Whatever SQL is given, nothing is changed and nothing lasts. Knows no
models, prompts or questions.
"""
