"""Colours and transparency as browsers show them."""
