"""Packed weights on disk: a restart reads them, answers the same, and survives whatever the file
has become."""

import json
import os
import signal

from daemon import SLOW, TINY, Daemon, TestCase, wait_until

FILE = "packed-weights"


class Cache(TestCase):

    def start(self, *args, model=TINY, **options):
        return Daemon("--cache-directory", self.folder / "cache", *args, model=model, **options)

    @property
    def file(self):
        return self.folder / "cache" / FILE

    def wait_written(self, daemon):
        wait_until(lambda: any(f"{FILE}: written" in line for line in daemon.err), daemon.err)

    def answer(self, daemon, source):
        """What it says, once it is known that its weights came from there."""
        loads = [labels for labels in daemon.metrics() if labels.startswith("hearth_load_seconds")]
        self.assertEqual(loads, [f'hearth_load_seconds{{weights="{source}"}}'])
        welcome = next(line for line in daemon.out if line.startswith("  loaded  in "))
        self.assertEqual(welcome.endswith(f" from {self.folder / 'cache'}"), source == "cache")
        return daemon.complete("cache", temperature=0, max_tokens=40)["choices"]

    def test_restart_reads_what_the_first_start_wrote(self):
        with self.start() as daemon:
            expected = self.answer(daemon, "model")
            self.wait_written(daemon)
        self.assertEqual(os.listdir(self.folder / "cache"), [FILE])
        for _ in range(2):
            with self.start() as daemon:
                self.assertEqual(self.answer(daemon, "cache"), expected)

    def test_F9_F25_damaged_file_is_packed_again_and_replaced(self):
        with self.start() as daemon:
            expected = self.answer(daemon, "model")
            self.wait_written(daemon)
        good = self.file.read_bytes()
        flipped = bytearray(good)
        flipped[-5] ^= 4
        for bad in (bytes(flipped), good[:-4096], b"", os.urandom(len(good))):
            self.file.write_bytes(bad)
            with self.start() as daemon:
                self.assertEqual(self.answer(daemon, "model"), expected)
                self.assertTrue(any("warning" in line and FILE in line for line in daemon.err),
                                daemon.err)
                self.wait_written(daemon)
            self.assertEqual(self.file.read_bytes(), good)

    def test_another_model_replaces_it(self):
        for model in (TINY, SLOW, TINY):
            with self.start(model=model) as daemon:
                self.answer(daemon, "model")
                self.wait_written(daemon)
        self.assertEqual(os.listdir(self.folder / "cache"), [FILE])

    def test_a_model_file_that_was_written_again_is_another(self):
        """Of the same size and, where only its times tell, even with the same bytes sampled."""
        model = self.folder / "model.gguf"
        model.write_bytes(TINY.read_bytes())
        with self.start(model=model) as daemon:
            before = self.answer(daemon, "model")
            self.wait_written(daemon)
        times = model.stat()
        content = bytearray(model.read_bytes())
        # In the middle of the last tensors; f32 weights change their signs.
        for at in range(len(content) - 400000, len(content) - 100000, 4):
            content[at + 3] ^= 0x80
        model.write_bytes(content)
        os.utime(model, ns=(times.st_atime_ns, times.st_mtime_ns))
        with self.start(model=model) as daemon:
            self.assertNotEqual(self.answer(daemon, "model"), before)
            self.assertTrue(any("another model file" in line for line in daemon.err), daemon.err)

    def test_F1_killed_while_it_writes(self):
        daemon = self.start(model=SLOW)
        wait_until(lambda: (self.folder / "cache").exists() and os.listdir(self.folder / "cache"),
                   "the start of the file")
        daemon.signal(signal.SIGKILL)
        daemon.finish()
        written = self.file.exists()  # for once the disk was faster
        with self.start(model=SLOW) as daemon:
            self.answer(daemon, "cache" if written else "model")
            if not written:
                self.wait_written(daemon)
        self.assertEqual(os.listdir(self.folder / "cache"), [FILE])

    def test_F2_told_to_stop_while_it_writes(self):
        with self.start(model=SLOW):
            wait_until((self.folder / "cache").exists, "the start of the file")
        self.assertNotIn(f"{FILE}.unfinished", os.listdir(self.folder / "cache"))

    def test_F7_nowhere_to_write(self):
        (self.folder / "cache").write_text("a file")
        with self.start() as daemon:
            self.answer(daemon, "model")
            wait_until(lambda: any("no packed weights for the next start" in line
                                   for line in daemon.err), daemon.err)
            self.assertEqual(daemon.metrics()["hearth_weight_cache_failed"], 1)
            self.answer(daemon, "model")

    def test_settings(self):
        """Without one nothing is written; systemd's is the default; the file goes before it."""
        os.mkdir(self.folder / "systemd")
        here = os.getcwd()
        self.addCleanup(os.chdir, here)
        os.mkdir(self.folder / "work")
        os.chdir(self.folder / "work")
        with Daemon() as daemon:
            self.answer(daemon, "model")
        self.assertEqual(os.listdir("."), [])
        env = {"CACHE_DIRECTORY": f"{self.folder}/systemd:{self.folder}/second"}
        with Daemon(env=env) as daemon:
            self.wait_written(daemon)
        self.assertEqual(os.listdir(self.folder / "systemd"), [FILE])
        config = self.folder / "hearth.json"
        config.write_text(json.dumps({"engine": {"cache_directory": "configured"}}))
        with Daemon("--config", config, env=env) as daemon:
            self.wait_written(daemon)
        self.assertEqual(os.listdir("configured"), [FILE])
