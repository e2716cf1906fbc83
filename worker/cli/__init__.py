"""The command line: `moderate`, a file for each command or group of commands."""
