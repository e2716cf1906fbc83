"""The domain model, with no library but numpy: submissions, policies, scores, decisions."""
