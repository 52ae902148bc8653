from __future__ import annotations

import pytest

from .redisserver import RedisServer


@pytest.fixture
def redis_server(real_servers, tmp_path):
    """A real Redis, empty, for this test alone."""
    folder = tmp_path / "redis"
    folder.mkdir()
    with RedisServer(folder) as server:
        yield server
