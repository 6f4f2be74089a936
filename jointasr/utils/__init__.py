"""Files, locks, ``.done`` records, random streams, processes, timing, padding masks.

Nothing here is specific to speech. Imports no other package of the project.
"""
