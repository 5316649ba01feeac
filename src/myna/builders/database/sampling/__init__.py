"""Meaningful queries at random over a profile: `sample_queries`.

`scope` chooses tables and joins, `conditions` what rows are asked for, the others the question itself, by construct:
`listing`, `grouping`, `nesting`. A profile and a seed go in, `Query` values come out. Nothing is run here: whether a
query says something about the data is for `verify` to find out.
"""

from myna.builders.database.sampling.sampler import sample_queries

__all__ = ["sample_queries"]
