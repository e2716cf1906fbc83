"""The environment that `moderate demo` runs in: processes, Redis, database, policies and pictures."""
