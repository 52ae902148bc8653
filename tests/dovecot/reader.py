"""A process of its own that reads a mailbox to its end, so that its memory can be measured: ``python -m tests.dovecot.reader``.

Standard input: one line of JSON. Standard output: ``PLACE n`` at each of the places, then one line of JSON.
"""

import asyncio
import hashlib
import json
import ssl
import sys

from aiogmail import Endpoint, Gmail, Settings, UserCredentials


def _memory(what):
    """KiB. The kernel's own figures: ru_maxrss begins with what the parent had when it forked."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(what))


async def _read(job):
    settings = Settings(imap=Endpoint("localhost", job["port"], ssl_context=ssl.create_default_context(cadata=job["ca"])))
    credentials = UserCredentials.from_authorized_user_info(job["user"])
    places = set(job["places"])
    seen = []
    loop = asyncio.get_running_loop()
    async with Gmail(job["address"], credentials, settings=settings) as gmail, gmail.mailbox("INBOX") as inbox:
        began = loop.time()
        async for message in inbox.fetch("1:*", "flags", "internal_date", "size", "raw"):
            assert message.internal_date is not None
            assert not message.flags - {"\\Recent"}
            assert message.size == len(message.raw)
            seen.append((message.uid, hashlib.sha256(message.raw).hexdigest()))
            if len(seen) in places:
                print("PLACE", len(seen), flush=True)
                await asyncio.sleep(0.7)  # so that the whole takes longer than a token lives
        return seen, loop.time() - began


def main():
    after_imports = _memory("VmRSS")
    job = json.loads(sys.stdin.readline())
    seen, took = asyncio.run(_read(job))
    over_imports = _memory("VmHWM") - after_imports
    print(json.dumps({"seen": seen, "took": took, "over_imports_mib": over_imports / 1024}), flush=True)


if __name__ == "__main__":
    main()
