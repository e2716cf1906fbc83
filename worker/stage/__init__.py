"""A temporary deployment for `moderate demo` and `moderate bench`: broker, database, folder and processes."""
