"""Register maps as data: one JSON file a device model, described by `profile.schema.json`."""
