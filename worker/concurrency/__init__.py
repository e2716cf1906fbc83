"""Threads that share work: batching, locks, periodic tasks, deadlines, processors."""
