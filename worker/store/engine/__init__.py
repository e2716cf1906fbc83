"""The database: engine, sessions, failures, tables, and statements for both SQL dialects."""
