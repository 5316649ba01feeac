"""The run folder, and everything else that is written whole or not at all.

    folder    a run's paths, its lock, and what is refused in a foreign one
    log       the event log
    atomic    files and folders that appear whole; what a killed process left of them is removed, or put back
    staging   where they are written before they get their name
    files     opening files for writing and reading that somebody else may have put there
    typed     whether what was read back is what was written

Knows nothing of what is in the files.
"""

from myna.runs.atomic import new_file, restore, write_file, write_folder, writing
from myna.runs.files import read_file
from myna.runs.folder import RunFolder, held_folder, refuse_links
from myna.runs.log import EventLog, read_events
from myna.runs.typed import wrong_field

__all__ = [
    "EventLog",
    "RunFolder",
    "held_folder",
    "new_file",
    "read_events",
    "read_file",
    "refuse_links",
    "restore",
    "write_file",
    "write_folder",
    "writing",
    "wrong_field",
]
