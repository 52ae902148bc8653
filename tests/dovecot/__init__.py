"""A real Dovecot that a test run starts and ends by itself."""
