"""Reports over all rows, old rows, and leases of periodic tasks."""
