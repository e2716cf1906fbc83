"""What an operator sees of a process: logs, metrics, probes, progress."""
