"""Tests of the repository: gates, documents, benchmarks, installation."""
