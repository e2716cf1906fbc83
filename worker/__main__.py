"""The command `moderate`; says what to install where only the producer's half is there."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from worker.cli.main import run  # noqa: PLC0415 - the extra may be missing, which is what we check
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("worker"):
            raise
        sys.stderr.write(
            f"error: the command needs the package {error.name!r}, which is not installed\n"
            "  hint: pip install 'moderation-worker[worker]' (the plain package is for producers only)\n"
        )
        sys.exit(3)
    run()


if __name__ == "__main__":
    main()
