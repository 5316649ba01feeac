"""Text-to-SQL: schema text, the forms of WikiSQL and Spider, comparison of SQL and results, scoring by execution."""
