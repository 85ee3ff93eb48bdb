# SPDX-License-Identifier: Apache-2.0
"""Operators' library: keys, signed messages, broker session, certificates, rollout."""
