"""Turns pictures and phrases into unit vectors that can be compared."""
