# SPDX-License-Identifier: Apache-2.0
"""Gates of the documents: links, references and tables."""
