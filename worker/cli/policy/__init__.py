"""Commands of the policy editor."""
