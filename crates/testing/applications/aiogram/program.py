"""A bot with aiogram: states and data of conversations in RedisStorage, updates of one chat one after the
other by RedisEventIsolation. Updates are injected; Telegram is never contacted."""

import asyncio
import datetime

from saw import finish, saw, secret, step, url, versions

from aiogram import Bot, Dispatcher, Router
from aiogram.fsm.context import FSMContext
from aiogram.fsm.state import State, StatesGroup
from aiogram.fsm.storage.redis import RedisEventIsolation, RedisStorage
from aiogram.types import Chat, Message, Update, User

UPDATES = 5


class Order(StatesGroup):
    naming = State()
    counting = State()


router = Router()
handled = []


@router.message(Order.naming)
async def named(message: Message, state: FSMContext):
    await state.update_data(name=message.text)
    await state.set_state(Order.counting)
    handled.append("named")


@router.message(Order.counting)
async def counted(message: Message, state: FSMContext):
    # Detects lost updates: each handler reads, waits and writes.
    count = (await state.get_data()).get("count", 0)
    await asyncio.sleep(0.02)
    await state.update_data(count=count + 1)
    handled.append("counted")


@router.message()
async def first(message: Message, state: FSMContext):
    await state.set_state(Order.naming)
    handled.append("first")


def update(number, user, text):
    person = User(id=user, is_bot=False, first_name="Ana")
    message = Message(
        message_id=number, date=datetime.datetime.now(datetime.timezone.utc), text=text,
        chat=Chat(id=user, type="private"), from_user=person,
    )
    return Update(update_id=number, message=message)


async def main():
    storage = RedisStorage.from_url(url(), state_ttl=600, data_ttl=600)
    isolation = storage.create_isolation(lock_kwargs={"timeout": 30})
    assert isinstance(isolation, RedisEventIsolation)
    dispatcher = Dispatcher(storage=storage, events_isolation=isolation)
    dispatcher.include_router(router)
    bot = Bot("42:TOKEN")

    async def feed(number, user, text):
        with step(f"update {text}"):
            await dispatcher.feed_update(bot, update(number, user, text))

    await feed(1, 700, "hola")
    await feed(2, 700, secret("Ana"))
    await asyncio.gather(*(feed(10 + i, 700, "one more") for i in range(UPDATES)))
    saw("handled", handled, ["first", "named"] + ["counted"] * UPDATES)

    context = dispatcher.fsm.get_context(bot, 700, 700)
    with step("data"):
        saw("data", await context.get_data(), {"name": secret("Ana"), "count": UPDATES})
        saw("state", await context.get_state(), "Order:counting")
        saw("value", await context.get_value("count"), UPDATES)
    with step("another chat"):
        other = dispatcher.fsm.get_context(bot, 701, 701)
        await other.set_data({"name": secret("Luis")})
        saw("other", await other.get_data(), {"name": secret("Luis")})
        await other.clear()
        saw("cleared", [await other.get_state(), await other.get_data()], [None, {}])
    await dispatcher.storage.close()
    await bot.session.close()


versions("aiogram", "redis")
asyncio.run(main())
finish()
