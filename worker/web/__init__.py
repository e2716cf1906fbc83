"""The HTTP API: `moderate web`. It takes submissions in and tells what was decided; workers judge."""
