"""Messages of the plugin protocol, generated from `protos/` by `make protos`; never edited."""
