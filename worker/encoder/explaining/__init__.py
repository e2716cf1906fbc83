"""Finds the places in a picture that speak for a label: heat maps."""
