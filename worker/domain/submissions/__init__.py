"""Fingerprints of submissions, and messages that were dropped."""
