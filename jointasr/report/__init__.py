"""Stage 10: statistics, tables, figures, the audit, and the report as Markdown and HTML.

May import prep and the packages that prep may import.
"""
