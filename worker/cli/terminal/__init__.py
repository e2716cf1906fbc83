"""What all commands print with: tables, durations, progress, signals."""
