"""Measure a policy on pictures whose labels are known."""
