"""The script that makes the bundled model, `python -m worker.demo.training`; figures in model/README.md."""
