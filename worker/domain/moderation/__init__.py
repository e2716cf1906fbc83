"""From vectors to scores and a decision."""
