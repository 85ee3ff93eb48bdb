# SPDX-License-Identifier: Apache-2.0
"""Register maps as data: one JSON file a device model, described by `profile.schema.json`."""
