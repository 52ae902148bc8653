"""IMAP: the wire, the commands, the connection and what a user holds of it."""
