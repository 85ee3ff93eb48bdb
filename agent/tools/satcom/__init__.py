# SPDX-License-Identifier: Apache-2.0
"""`coldloop link`: a satellite modem and its contact windows."""
