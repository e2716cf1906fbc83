"""The HTTP API of the review queue and of appeals."""
