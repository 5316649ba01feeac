"""The small Text-to-SQL model that ships with the package, two databases to try it on, and the demo.

    model/          the starter model, a plain Hugging Face folder: what `--model starter` names
    integrity.py    whether the model's files are those that were shipped
    databases/      the demo's databases as SQL text; files.py makes SQLite files of them
    questions.py    the seven questions that the demo asks
    demo.py         `demo`, the public function
    place.py        its folder
    story.py        its steps, each with the commands that do the same
    events.py       what happens in it; result.py  what has come of it

Knows no terminal. Nothing is imported here, so that asking for the model's sums stays light.
"""
