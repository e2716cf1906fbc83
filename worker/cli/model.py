"""`moderate model`: commands for those who choose a model."""

import typer

from worker.cli import model_export

app = typer.Typer(no_args_is_help=True, help="Commands for those who choose a model.")
# With a callback typer keeps the name of a group's only command.
app.callback()(lambda: None)
app.command("export", epilog=model_export.EPILOG)(model_export.export)
