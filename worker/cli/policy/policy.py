"""`moderate policy`: commands for those who write policies."""

import typer

from worker.cli.policy import (
    policy_check,
    policy_compare,
    policy_hunt,
    policy_learn,
    policy_schema,
    policy_shadow,
    policy_status,
    policy_suggest,
    policy_test,
)

app = typer.Typer(no_args_is_help=True, help="Commands for those who write policies.")
app.command("check", epilog=policy_check.EPILOG)(policy_check.check)
app.command("test", epilog=policy_test.EPILOG)(policy_test.run_own_tests)
app.command("compare", epilog=policy_compare.EPILOG)(policy_compare.compare)
app.command("hunt", epilog=policy_hunt.EPILOG)(policy_hunt.hunt)
app.command("learn", epilog=policy_learn.EPILOG)(policy_learn.learn)
app.command("suggest", epilog=policy_suggest.EPILOG)(policy_suggest.suggest)
app.command("schema", epilog=policy_schema.EPILOG)(policy_schema.schema)
app.command("status", epilog=policy_status.EPILOG)(policy_status.status)
app.command("shadow", epilog=policy_shadow.EPILOG)(policy_shadow.shadow)
