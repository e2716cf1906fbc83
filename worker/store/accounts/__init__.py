"""Reviewers, their sessions and passwords, API keys."""
