"""Evaluation of policies: lint, tests, backtests, comparison, drift."""
