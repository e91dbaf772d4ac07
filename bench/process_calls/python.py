#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Python's ProcessPoolExecutor as a contestant, with the command line of the others' programs."""

import argparse
import concurrent.futures
import functools
import json
import multiprocessing
import multiprocessing.shared_memory
import os
import platform
import re
import signal
import statistics
import sys
import time

LABEL = f"Python {platform.python_version()}"


def identity(value):
    return value


def mark_ends(name, size, mark):
    shared = multiprocessing.shared_memory.SharedMemory(name=name)
    shared.buf[0] = shared.buf[size - 1] = mark
    shared.close()


def sleep_for_ever():
    while True:
        signal.pause()


def require(right, what):
    if not right:
        raise RuntimeError(f"wrong result: {what}")


def seconds(body):
    start = time.perf_counter()
    body()
    return time.perf_counter() - start


def quantile(values, q):
    return sorted(values)[int(q * (len(values) - 1) + 0.5)]


class Contest:
    def __init__(self, options):
        self.options = options

    def pool(self):
        return concurrent.futures.ProcessPoolExecutor(
            self.options.workers, mp_context=multiprocessing.get_context("fork"))

    def scaled(self, full):
        return full // 10 if self.options.quick else full

    def timed(self, operations, scale, body):
        body()
        return statistics.median(
            seconds(body) for _ in range(self.options.samples)) * scale / operations

    @staticmethod
    def quantiles(count, unit, scale, sample):
        values = [sample(i) for i in range(count + count // 10)][count // 10:]
        return {f"p50 {unit}": quantile(values, 0.50) * scale,
                f"p99 {unit}": quantile(values, 0.99) * scale}

    def submit_get(self):
        count = self.scaled(20_000)
        with self.pool() as pool:
            def body():
                futures = [pool.submit(identity, i) for i in range(count)]
                require(sum(f.result() for f in futures) == sum(range(count)), "the sum")
            return {"ns/task": self.timed(count, 1e9, body)}

    def map_numbers(self, full, chunksize):
        count = self.scaled(full)
        numbers = range(count)
        with self.pool() as pool:
            def body():
                require(sum(pool.map(identity, numbers, chunksize=chunksize)) == sum(numbers),
                        "the sum")
            return {"ns/element": self.timed(count, 1e9, body)}

    def round_trips(self, count, pause):
        with self.pool() as pool:
            def sample(i):
                if pause:
                    time.sleep(pause)
                start = time.perf_counter()
                result = pool.submit(identity, i).result()
                elapsed = time.perf_counter() - start
                require(result == i, "a round trip")
                return elapsed
            return self.quantiles(count, "us", 1e6, sample)

    def send_bytes(self, mebibytes):
        data = bytes(mebibytes << 20)
        calls = max(1, (64 if self.options.quick else 128) // mebibytes)
        with self.pool() as pool:
            def body():
                for _ in range(calls):
                    require(len(pool.submit(identity, data).result()) == len(data), "the bytes")
            return {"ms": self.timed(calls, 1e3, body)}

    def send_shared(self, mebibytes):
        size = mebibytes << 20
        calls = self.scaled(2_000)
        shared = multiprocessing.shared_memory.SharedMemory(create=True, size=size)
        try:
            with self.pool() as pool:
                def body():
                    for i in range(calls):
                        pool.submit(mark_ends, shared.name, size, i % 100 + 1).result()
                        require(shared.buf[size - 1] == i % 100 + 1, "the bytes")
                return {"us": self.timed(calls, 1e6, body)}
        finally:
            shared.close()
            shared.unlink()

    def whole_life(self):
        def life():
            with self.pool() as pool:
                futures = [pool.submit(identity, 1) for _ in range(self.options.workers)]
                require(all(f.result() == 1 for f in futures), "a result")
        return self.quantiles(20 if self.options.quick else 100, "ms", 1e3, lambda _: seconds(life))

    def death(self):
        def sample(_):
            pool = self.pool()
            worker = pool.submit(os.getpid).result()
            tasks = [pool.submit(sleep_for_ever) for _ in range(self.options.workers)]
            time.sleep(0.002)
            start = time.perf_counter()
            os.kill(worker, signal.SIGKILL)
            try:
                tasks[0].result()
                require(False, "the death of a worker")
            except concurrent.futures.process.BrokenProcessPool:
                return time.perf_counter() - start
            finally:
                pool.shutdown()
        return self.quantiles(20 if self.options.quick else 50, "ms", 1e3, sample)

    def rows(self):
        part = functools.partial
        return {
            "Q1/submit_get": self.submit_get,
            "Q1/map_chunksize_1": part(self.map_numbers, 20_000, 1),
            "Q1/map_chunksize_1000": part(self.map_numbers, 1_000_000, 1000),
            "Q2/round_trip": part(self.round_trips, self.scaled(5_000), 0),
            "Q2/round_trip_after_sleep":
                part(self.round_trips, 100 if self.options.quick else 300, 0.002),
            "Q3/identity_1_MiB": part(self.send_bytes, 1),
            "Q3/identity_16_MiB": part(self.send_bytes, 16),
            "Q3/identity_64_MiB": part(self.send_bytes, 64),
            "Q3/shared_1_MiB": part(self.send_shared, 1),
            "Q3/shared_64_MiB": part(self.send_shared, 64),
            "Q4/whole_life": self.whole_life,
            "Q5/death_noticed": self.death,
        }


def entry_of(row, measure):
    name = f"{row}/{LABEL}/iterations:1/manual_time"
    entry = {"name": name, "run_name": name, "run_type": "iteration", "repetitions": 1,
             "repetition_index": 0, "threads": 1, "iterations": 1, "time_unit": "ms",
             "label": "peer"}
    try:
        entry["real_time"] = entry["cpu_time"] = 1e3 * seconds(lambda: entry.update(measure()))
    except Exception as error:  # whatever it is, it is a line in the report
        entry.update({"error_occurred": True, "error_message": str(error)})
    return entry


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--samples", type=int, default=3)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--benchmark_list_tests")
    parser.add_argument("--benchmark_filter", default=".")
    parser.add_argument("--benchmark_out")
    parser.add_argument("--benchmark_out_format")
    options = parser.parse_args()
    rows = {row: measure for row, measure in Contest(options).rows().items()
            if re.search(options.benchmark_filter, f"{row}/{LABEL}/")}
    if options.benchmark_list_tests:
        print("\n".join(f"{row}/{LABEL}/iterations:1/manual_time" for row in rows))
        return 0
    entries = [entry_of(row, measure) for row, measure in rows.items()]
    text = json.dumps({"context": {"executable": sys.argv[0]}, "benchmarks": entries}, indent=2)
    if options.benchmark_out:
        with open(options.benchmark_out, "w", encoding="utf-8") as out:
            out.write(text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
