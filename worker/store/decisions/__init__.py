"""Decisions with their embeddings, and what shadow policies decided."""
