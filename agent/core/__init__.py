"""What all rooms share: component interface, registry, alarms, records, errors."""
