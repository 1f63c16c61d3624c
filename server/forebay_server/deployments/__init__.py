"""Deployments, their schedules, and the runs made from them."""
