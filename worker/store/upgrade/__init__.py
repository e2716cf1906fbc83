"""Upgrades a database's schema to this version, and checks it."""
