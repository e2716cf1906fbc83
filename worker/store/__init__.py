"""The database: plain functions of a session, a file for each table that the service writes."""
