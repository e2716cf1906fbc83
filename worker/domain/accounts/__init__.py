"""Reviewers and API keys."""
