"""Tells the platform what was decided: by signed webhooks, or by tasks of its own Celery."""
