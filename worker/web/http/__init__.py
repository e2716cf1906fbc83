"""What the API and the desk share: request bodies, problems, rate limits, the request log."""
