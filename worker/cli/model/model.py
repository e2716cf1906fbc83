"""`moderate model`: commands for those who choose a model."""

import typer

from worker.cli.model import model_export, model_fetch, model_list

app = typer.Typer(no_args_is_help=True, help="Commands for those who choose a model.")
app.command("list", epilog=model_list.EPILOG)(model_list.list_presets)
app.command("fetch", epilog=model_fetch.EPILOG)(model_fetch.fetch)
app.command("export", epilog=model_export.EPILOG)(model_export.export)
