"""`securechat send` to several, or only to whom a person has verified: what became of it for each."""

import asyncio

from securechat.cli.faces import face_of
from securechat.cli.json_lines import print_json
from securechat.cli.only_verified import only_verified
from securechat.cli.options import Account
from securechat.cli.send import Said, report
from securechat.cli.sending import failure, send_again, sent_through
from securechat.client.errors import HolderLeft
from securechat.client.events import Message
from securechat.client.face import Face
from securechat.errors import SecureChatError


async def send_to_all(
    account: Account, everybody: list[str], said: Said, seconds: float, *, as_json: bool, verified: bool
) -> int:
    """Send one text to several; who cannot get it keeps nobody else waiting.

    :param verified: nothing is stored for whom a person has not verified
    """
    several = len(everybody) > 1
    asked = {to: said._replace(key=f"{said.key} {to}") if several else said for to in everybody}
    async with face_of(account) as face:
        sending = (_sent(face, to, each, seconds, verified=verified) for to, each in asked.items())
        results = await asyncio.gather(*sending, return_exceptions=True)
    failed = 0
    for to, found in zip(everybody, results, strict=True):
        result = found
        if isinstance(result, HolderLeft):  # before it said whether it has stored the message
            again = send_again(account, to, asked[to], seconds=seconds)
            (result,) = await asyncio.gather(again, return_exceptions=True)
        code = _told(to, result, as_json=as_json)
        failed = failed or code
    return failed


async def _sent(face: Face, to: str, said: Said, seconds: float, *, verified: bool) -> Message:
    if verified:
        await only_verified(face, to)
    return await sent_through(face, to, said, seconds)


def _told(to: str, result: Message | BaseException, *, as_json: bool) -> int:
    """Say what became of the message to one; return the exit code of it."""
    if isinstance(result, SecureChatError):
        code = failure(to, result)
        if as_json:
            print_json({"type": "not_sent", "room": to, "exit_code": code, "reason": str(result)})
        return code
    if isinstance(result, BaseException):
        raise result
    return report(result, as_json=as_json)
