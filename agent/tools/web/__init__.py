# SPDX-License-Identifier: Apache-2.0
"""Parts that the pages share: static files, and the rule for requests of foreign pages."""
