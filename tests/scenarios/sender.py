"""python -m tests.scenarios.sender HOME SERVER USER PASSWORD TO COUNT

Sends messages 0..COUNT-1, each under a key of its own, prints each number once it is stored, and
ends when the server has them all. Started again, it goes on where it was killed.
"""

import asyncio
import sys
from pathlib import Path

from securechat.client.client import Client
from securechat.client.config import Home, ServerAddress
from securechat.client.trust import Trust


async def main(home: str, server: str, user: str, password: str, to: str, count: str) -> int:
    trust = Trust(accept_new=True)
    address = ServerAddress.parse(server)
    async with await Client.open(Home(Path(home)), user, password, trust=trust, server=address) as client:
        for number in range(int(count)):
            await client.send(to, f"message {number}", key=f"job-{number}")
            print(number, flush=True)
            await asyncio.sleep(0)
        return 0 if await client.drained(30) else 75


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*sys.argv[1:])))
