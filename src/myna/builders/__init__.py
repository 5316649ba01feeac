"""Data builders: a source (a benchmark, articles, tables) → a data folder. One module a builder.

A builder streams its source, splits it by a seed so that nothing leaks, counts what it leaves out and why, and writes
through `writer.py`.
"""
