"""What all commands share: output, durations, progress bars, signals."""
