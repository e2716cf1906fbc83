"""The overview and the archive of all rows, and leases of periodic tasks."""
