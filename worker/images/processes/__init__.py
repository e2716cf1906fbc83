"""Decodes pictures in child processes with limits."""
