"""Reads YAML, and says where a problem stands."""
