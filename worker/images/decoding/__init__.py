"""Decodes hostile bytes in child processes into the frames that a browser would show."""
