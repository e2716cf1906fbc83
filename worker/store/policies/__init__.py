"""Versions and states of policies, and the vectors of their phrases."""
