"""One process of a fleet: asks for the token of one account, over and over. ``python -m tests.oauth.fleetchild STORE CREDENTIALS CA``."""

from __future__ import annotations

import asyncio
import ssl
import sys

from aiogmail.errors import GmailError, LoginRequired
from aiogmail.oauth import FileTokenStore, RedisTokenStore, TokenCache, UserCredentials

ME = "me@example.org"


async def main(where: str, credentials_file: str, ca: str) -> int:
    store = RedisTokenStore(where) if where.startswith("redis://") else FileTokenStore(where)
    credentials = UserCredentials.from_authorized_user_file(credentials_file)
    context = ssl.create_default_context(cafile=ca)
    last = None
    async with TokenCache(store, ssl_context=context, timeout=1.0) as tokens:
        while True:
            try:
                token = await tokens.get(ME, credentials)
            except LoginRequired as error:
                print("LoginRequired", error, flush=True)
                return 3
            except GmailError as error:
                print("error", type(error).__name__, error, flush=True)
                await asyncio.sleep(0.1)
                continue
            if token is not last:
                last = token
                print("token", token.access_token.reveal()[-12:], flush=True)
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
