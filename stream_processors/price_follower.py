"""The prices of the control topic, followed by a processor for as long as it runs."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from axonstream.contract.price_records import PriceRecordError, RecordedPrices
from axonstream.contract.prices import PriceList
from axonstream.kafka.control_topic import read_control
from axonstream.kafka.errors import NoTopicError
from axonstream.settings.settings import Settings

log = logging.getLogger(__name__)

_AGAIN_S = 0.5
_MISSING_AGAIN_S = 5.0


class PriceFollower:
    """`prices` is the list as the topic has it. Another list takes its place as a whole; keep none over an await.

    Fold nothing before `loaded`: a call that has a price would be one without. A topic that does not exist, or that
    this client may not see, is an empty list, and is looked for every five seconds. While Kafka does not answer, the
    last list stays.
    """

    def __init__(self, settings: Settings) -> None:
        self.prices = PriceList()
        self._settings = settings
        self._loaded = asyncio.Event()
        self._trouble = ""

    async def loaded(self) -> None:
        """Return when everything was read that was there at the start, or the topic was found missing."""
        await self._loaded.wait()

    async def run(self) -> None:
        """Until it is cancelled. Raises only what is a defect."""
        while True:
            try:
                await self._follow()
                wait_s = _AGAIN_S
            except NoTopicError as error:
                self._warn(f"{error}. Until then, no model has a price")
                self._unless_loaded()
                wait_s = _MISSING_AGAIN_S
            except TopicAuthorizationFailedError as error:
                self._warn(
                    "the prices cannot be read: let the processors read the control topic (ACL: Read). Until then, no "
                    f"model has a price: {error!r}"
                )
                self._unless_loaded()
                wait_s = _MISSING_AGAIN_S
            except (KafkaError, OSError, TimeoutError) as error:
                self._warn(f"the prices cannot be read from the control topic, trying again: {error!r}")
                wait_s = _AGAIN_S
            except asyncio.CancelledError as error:  # aiokafka also lets its own out when connections break
                task = asyncio.current_task()
                if task is None or task.cancelling():
                    raise
                self._warn(f"reading the prices from the control topic broke off, trying again: {error!r}")
                wait_s = _AGAIN_S
            await asyncio.sleep(wait_s)

    async def _follow(self) -> None:
        """From the start of the topic, each time: it is small, and what was removed meanwhile is not met again."""
        recorded = RecordedPrices()
        news = True
        async with aclosing(read_control(self._settings, follow=True)) as readings:
            async for reading in readings:
                for key, value in reading.pairs:
                    try:
                        news |= recorded.take(key, value)
                    except PriceRecordError as error:
                        news = True
                        log.warning("a price of the control topic is left out: %s", error)
                if news and reading.at_end:
                    self._take(recorded.price_list())
                    self._trouble = ""
                    news = False

    def _unless_loaded(self) -> None:
        """A list that was read once stays: whoever folds on without it loses what calls cost."""
        if not self._loaded.is_set():
            self._take(PriceList())

    def _take(self, prices: PriceList) -> None:
        self.prices = prices
        self._loaded.set()

    def _warn(self, trouble: str) -> None:
        """Once for each trouble, not for each try."""
        if trouble != self._trouble:
            self._trouble = trouble
            log.warning("%s", trouble)
