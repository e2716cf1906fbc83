"""Requests to the desk: sessions, clients, filters, forms."""
