"""What reviewers do: claim, look, decide, appeal."""
