"""Decodes untrusted bytes, in a child process, into the frames that a browser would show."""
