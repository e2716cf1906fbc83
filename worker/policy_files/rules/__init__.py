"""What a policy may say."""
