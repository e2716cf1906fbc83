"""Sign in, and authenticate a key."""
