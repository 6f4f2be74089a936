"""Configuration keys and files, the test scenarios, and the names of files in a recipe folder.

May import text and the packages that text may import.
"""
