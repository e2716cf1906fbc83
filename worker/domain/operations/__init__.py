"""What operators monitor: queues, backlog, events."""
