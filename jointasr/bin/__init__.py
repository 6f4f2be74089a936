"""Programs that the steps call: parse options, call the packages, write ``.done`` records.

May import all packages; nothing imports them.
"""
