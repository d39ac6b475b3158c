"""The part of `Client` that keeps the account's history for its other devices."""

from securechat.client.archive_keeping import ArchiveKeeper, ArchiveStatus


class HistoryVerbs:
    """The archive of one account; `Client` has it."""

    _keeper: ArchiveKeeper

    async def archive(self, *, on: bool | None = None) -> ArchiveStatus:
        """Return how the archive stands; turned on or off before, if asked, for all devices of the account.

        Off: all of it at the server is deleted as soon as that can be said.
        """
        if on is not None:
            self._keeper.turn(on=on)
        return self._keeper.status()
