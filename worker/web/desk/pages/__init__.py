"""The routes of the desk: pages, and the forms they send."""
