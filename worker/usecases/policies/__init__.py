"""Load, test, compare, hunt and explain policies."""
