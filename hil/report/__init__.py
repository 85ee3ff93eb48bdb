"""What is made of a record: a page that opens offline, a PDF, JUnit."""
