"""What is submitted, and what came of its message."""
