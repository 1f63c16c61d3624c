"""Concurrency limits by name: slots that runs, tasks and deployments share."""
