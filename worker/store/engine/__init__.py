"""The database: engine, sessions, failures, tables, and statements that both dialects know."""
