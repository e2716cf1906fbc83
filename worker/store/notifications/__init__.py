"""The outbox of events for the platform."""
