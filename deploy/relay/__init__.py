"""The ground relay: units' parcels in, receipts back, values out to the fleet's systems."""
