"""What API and desk share: bodies, problems, rate limits, the request log."""
