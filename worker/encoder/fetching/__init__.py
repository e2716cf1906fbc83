"""Brings a model into a folder, whole or not at all."""
