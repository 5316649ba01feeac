"""Checking: what is wrong with a data folder, before a model learns it."""
