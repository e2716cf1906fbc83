"""Reads each format as browsers do."""
