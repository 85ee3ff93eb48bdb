"""The operators' side: keys, signed changes, rollouts over MQTT. CPython only."""
