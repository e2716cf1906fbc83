"""What the operator counts: queues, backlog, events."""
