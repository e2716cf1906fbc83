"""Accept, publish, claim and find submissions."""
