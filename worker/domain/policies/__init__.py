"""A policy, its states, and its stored form."""
