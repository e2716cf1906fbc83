"""Decisions with their embeddings, and the decisions of shadow policies."""
