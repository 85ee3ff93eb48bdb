"""Operators' library: keys, signed messages, broker session, certificates, rollout."""
