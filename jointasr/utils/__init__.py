"""Files, locks, ``.done`` records, random streams, processes and timing; nothing about speech.

Imports no other package of the project.
"""
