"""The database: plain functions that take a session, one file for each table."""
