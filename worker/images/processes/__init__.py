"""Decodes pictures in child processes with resource limits."""
