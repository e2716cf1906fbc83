"""Connects to untrusted servers: only at allowed addresses, and within a deadline."""
