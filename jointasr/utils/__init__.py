"""Files, locks, random streams, ``.done`` records, processes, timing: nothing about speech.

Imports no other package of the project.
"""
