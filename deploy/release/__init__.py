"""SBOM, advisories."""
