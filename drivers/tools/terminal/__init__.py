# SPDX-License-Identifier: Apache-2.0
"""What a command does with its terminal: the line of activity, and the signals that end it."""
