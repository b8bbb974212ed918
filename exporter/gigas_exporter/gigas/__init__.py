"""The client of the Gigas API: credentials, transport, pagination and the operations; it knows no metric."""
