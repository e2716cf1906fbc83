"""`moderate policy schema`: prints the JSON Schema of policy files, for completion and checks in editors."""

from worker.cli.terminal.console import print_json
from worker.policy_files.rules.json_schema import json_schema

EPILOG = """Examples:

[bold]moderate policy schema > policies/schema.json[/]

A file that begins with this line is checked by most editors:

[bold]# yaml-language-server: $schema=schema.json[/]

Exit codes: 0 done, 2 wrong usage."""


def schema() -> None:
    """Print the JSON Schema of policy files."""
    print_json(json_schema())
