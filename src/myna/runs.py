"""The run folder: its paths, whole-or-nothing writes, and the event log.

    recipe.yaml  environment.json  log.jsonl  checkpoints/000200/  adapter/  report.html

Every file and folder is written beside its place, flushed to disk and renamed, so that a reader (or a resumed run) sees
the old one or the new one, never half of one. Knows nothing of what is in the files.
"""
