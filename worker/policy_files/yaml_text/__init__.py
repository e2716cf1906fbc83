"""Reads YAML, and reports problems with their places."""
