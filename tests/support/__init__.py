"""What several test modules share: a run's certificate authority, servers that misbehave on request, leak checks."""
