"""Converts colours and transparency as browsers show them."""
