"""Variables: JSON values by name, for job variables and flows."""
