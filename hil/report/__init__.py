"""Reports of a record: HTML, PDF, JUnit."""
