"""Characters and words that people write in phrases."""
