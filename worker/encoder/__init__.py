"""Encodes pictures and phrases as unit vectors (embeddings) that can be compared."""
