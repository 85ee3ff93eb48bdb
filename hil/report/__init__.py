"""HTML, PDF, JUnit."""
