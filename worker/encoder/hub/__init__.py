"""Finds a model's files: in a folder, in the hub's cache, on the hub."""
