"""hearth.AsyncClient against a scripted daemon: what differs from hearth.Client."""

import asyncio
import unittest

import grpc

import hearth
from scripted_daemon import PATIENCE, ScriptedDaemon, reply_events


class Async(unittest.IsolatedAsyncioTestCase):

    def serve(self, *args, **kwargs):
        daemon = ScriptedDaemon(*args, **kwargs)
        self.addCleanup(daemon.server.stop, None)
        return daemon

    async def wait_cancelled(self, daemon):
        self.assertTrue(await asyncio.to_thread(daemon.cancelled.wait, PATIENCE))

    async def test_chat_and_generate(self):
        daemon = self.serve(reply_events("Hel", "lo"))
        async with hearth.AsyncClient(daemon.address, key="secret") as client:
            self.assertEqual((await client.chat("Hi")).text, "Hello")
            self.assertEqual((await client.generate([1, 2])).text, "Hello")
        self.assertEqual(daemon.metadata["authorization"], "Bearer secret")

    async def test_streams_give_typed_events(self):
        daemon = self.serve(reply_events("a", "b"))
        async with hearth.AsyncClient(daemon.address) as client:
            async with client.stream_chat("x") as stream:
                texts = [event.text async for event in stream if isinstance(event, hearth.Delta)]
            self.assertEqual(texts, ["a", "b"])
            self.assertEqual((await stream.reply()).usage.cached_tokens, 4)

    async def test_many_at_once(self):
        daemon = self.serve(reply_events("a"))
        async with hearth.AsyncClient(daemon.address) as client:
            replies = await asyncio.gather(*(client.chat("x") for _ in range(20)))
        self.assertEqual([reply.text for reply in replies], ["a"] * 20)

    async def test_every_other_method(self):
        daemon = self.serve()
        async with hearth.AsyncClient(daemon.address) as client:
            self.assertEqual(await client.tokenize("ab"), [97, 98])
            self.assertEqual(await client.detokenize([97]), "a")
            self.assertEqual((await client.render_chat("Hi")).text, "<|user|>")
            self.assertEqual((await client.embed("a", pooling="last")).prompt_tokens, 7)
            self.assertEqual((await client.score("x", ["yes"])).candidates[0].logprob, -3)
            self.assertEqual((await client.estimate_chat("x")).max_tokens, 50)
            self.assertEqual((await client.estimate_generate("x")).max_tokens, 50)
            self.assertTrue(await client.cancel("feedbeef"))
            self.assertEqual((await client.model()).id, "phi-4-mini")
            self.assertEqual((await client.load()).running, 3)
            self.assertEqual(await client.drain(), 2)
            await client.flush_cache()
            self.assertEqual(await client.pin("p", "text"), 64)
            await client.unpin("p")

    async def test_watching_the_load_ends_with_the_iterator(self):
        daemon = self.serve()
        async with hearth.AsyncClient(daemon.address) as client:
            loads = client.watch_load()
            self.assertEqual((await anext(loads)).running, 1)
            await loads.aclose()
            await self.wait_cancelled(daemon)

    async def test_leaving_a_stream_cancels(self):
        daemon = self.serve(reply_events("slowly")[:3], hang=True)
        async with hearth.AsyncClient(daemon.address) as client:
            async with client.stream_chat("x") as stream:
                await anext(stream)
            await self.wait_cancelled(daemon)
            self.assertEqual([event async for event in stream], [])

    async def test_cancelling_the_task_cancels(self):
        daemon = self.serve(reply_events("slowly")[:3], hang=True)
        async with hearth.AsyncClient(daemon.address) as client:
            task = asyncio.create_task(client.chat("x"))
            while not daemon.requests:
                await asyncio.sleep(0.01)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task
            await self.wait_cancelled(daemon)

    async def test_errors(self):
        daemon = self.serve(error=(grpc.StatusCode.NOT_FOUND, "no such model", ()))
        async with hearth.AsyncClient(daemon.address) as client:
            for call in (client.load(), client.chat("x"), anext(client.stream_generate("x"))):
                with self.assertRaises(hearth.NotFound) as refused:
                    await call
                self.assertEqual(str(refused.exception), "no such model")

    async def test_deadline(self):
        daemon = self.serve(hang=True)
        async with hearth.AsyncClient(daemon.address, timeout=0.2) as client:
            with self.assertRaises(hearth.DeadlineExceeded):
                await client.chat("x")


if __name__ == "__main__":
    unittest.main()
