"""Commands for reviewers and leads."""
