"""Brings the tables of a database to this version, and checks them."""
