# SPDX-License-Identifier: Apache-2.0
"""The dossier of a unit: measured evidence for the file of a platform."""
