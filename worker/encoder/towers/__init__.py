"""Loads a model and runs its picture tower and its text tower."""
