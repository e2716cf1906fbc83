"""Notifies the platform of decisions: by signed webhooks, or by tasks in the platform's Celery."""
