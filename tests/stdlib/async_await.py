"""MicroThread and Deferred awaited in asyncio's code, on Bine's loop."""
import asyncio

import bine
import host

MS = 0.001


def wait_and_say(word):
    bine.sleep(MS, real=True)
    return word


def test_a_micro_thread_can_be_awaited():
    async def main():
        return await bine.spawn(wait_and_say, "word")
    assert bine.run_async(main()) == "word"


def test_the_loop_goes_on_meanwhile():
    async def main():
        ticks = []

        async def tick():
            while True:
                ticks.append(1)
                await asyncio.sleep(0)
        def until_ticked():
            while len(ticks) < 3:
                bine.pause()
        ticking = asyncio.create_task(tick())
        await bine.spawn(until_ticked)
        ticking.cancel()
    bine.run_async(main())


def test_one_that_has_ended_gives_its_result():
    micro = bine.spawn(wait_and_say, "word")
    micro.join()

    async def main():
        return await micro, await micro
    assert bine.run_async(main()) == ("word", "word")


def test_its_error_is_raised():
    def fails():
        raise KeyError("micro")

    async def main():
        try:
            await bine.spawn(fails)
        except KeyError as error:
            return str(error)
    assert bine.run_async(main()) == "'micro'"


def test_a_stop_iteration_is_a_runtime_error():
    def fails():
        raise StopIteration(5)

    async def main():
        try:
            await bine.spawn(fails)
        except RuntimeError:
            return "refused"
    assert bine.run_async(main()) == "refused"


def test_gather_and_wait_for_take_them():
    async def main():
        return await asyncio.gather(bine.spawn(wait_and_say, 1), asyncio.sleep(0, 2),
                                    asyncio.wait_for(bine.spawn(wait_and_say, 3), 60))
    assert bine.run_async(main()) == [1, 2, 3]


def test_a_cancelled_task_leaves_the_micro_thread_running():
    micro = bine.spawn(wait_and_say, "word")

    async def main():
        try:
            await asyncio.wait_for(micro, 0)
        except asyncio.TimeoutError:
            return "late"
    assert bine.run_async(main()) == "late"
    assert micro.join() == "word"


def test_a_cancelled_micro_thread_is_told_of():
    micro = bine.spawn(bine.sleep, 3600)

    async def main():
        asyncio.get_running_loop().call_later(MS, micro.cancel)
        try:
            await micro
        except bine.Cancelled:
            return "cancelled"
    assert bine.run_async(main()) == "cancelled"


def test_a_deferred_can_be_awaited():
    def settle():
        bine.sleep(MS, real=True)
        host.settle(1, "word")

    async def main():
        deferred = host.deferred(1)
        bine.spawn(settle)
        return await deferred
    assert bine.run_async(main()) == "word"


def test_in_a_micro_thread_of_its_own_it_waits_by_itself():
    async def main():
        return await bine.spawn(wait_and_say, "word")
    assert bine.spawn(main).join() == "word"
