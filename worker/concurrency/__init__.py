"""Concurrency within a process: batching, locks, periodic tasks, deadlines, processors."""
