"""Engine, columns and migrations; knows no domain."""
