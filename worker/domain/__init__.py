"""What the service is about, free of any library but numpy: submissions, policies, scores, decisions."""
