"""POP3: what Gmail shows of an account to clients that fetch mail and go (RFC 1939)."""
