"""The outbox of events for receivers."""
