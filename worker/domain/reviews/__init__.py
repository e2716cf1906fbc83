"""What reviewers decide, and how far they agree."""
