"""Parses each picture format as browsers do."""
