"""The ledger of submissions, their leases, and messages that could not be processed."""
