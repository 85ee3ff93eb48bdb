# SPDX-License-Identifier: Apache-2.0
"""Weather, moist air, coolers."""
