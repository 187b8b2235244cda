"""All tables, by name."""

from . import evidence_tables, paper_tables

TABLES = (*paper_tables.TABLES, *evidence_tables.TABLES)
BY_NAME = {table.name: table for table in TABLES}
GROUPS = {'share': [table for table in TABLES if table.share is not None]}
"""Tables that are run together, and drawn as one curve."""
