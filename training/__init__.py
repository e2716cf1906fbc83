"""The script that makes the bundled model, `python -m training`; figures in model/README.md."""
