"""Forebay's control plane: the API that pools, queues, deployments and runs live behind."""
