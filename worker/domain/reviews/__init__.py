"""Reviews, verdicts, and how far reviewers agree."""
