"""How good a policy is: lint, tests, back-tests, comparison, drift."""
