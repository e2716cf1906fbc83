"""What `moderate bench` measures a machine with: a stage, load, each part of the work alone, advice."""
