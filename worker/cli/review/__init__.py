"""Commands of reviewers and their lead."""
