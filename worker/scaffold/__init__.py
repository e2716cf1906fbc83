"""What `moderate init` writes: a folder to start a deployment from."""
