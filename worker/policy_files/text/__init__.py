"""Checks and normalisation of the text in phrases."""
