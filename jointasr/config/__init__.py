"""Configuration keys and files, test scenarios, and the folder layout of a recipe.

May import text and the packages that text may import.
"""
