"""Finds words of a policy to change, on a sample of the archive and what people said about it."""
