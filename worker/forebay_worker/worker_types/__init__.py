"""Worker types: a module for each kind of infrastructure that can execute a run."""
