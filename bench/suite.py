#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs the contestants of every workload in turn, and writes the table and the JSON.

bench/run.sh builds everything and calls this. Every contestant of a workload gets a process of its
own; a round runs each of them once, and there are several rounds, so that whatever the machine does
meanwhile hits all alike. Within one process the median of a few samples counts.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile

SOURCE = pathlib.Path(__file__).resolve().parent
WORKLOADS = {
    "T1": "Submit 1,000,000 empty tasks from outside, keep the futures, get all",
    "T2": "Fire and forget 1,000,000 tasks",
    "T3": "As T1, from two producers",
    "T4": "Round trip of one task",
    "T5": "Fork and join: fib(30), skynet, 12 queens, matmul(1024)",
    "T6": "Map over 10,000,000 floats",
    "T7": "2,000 rows whose cost differs 300 times",
    "T8": "Memory of a pending task",
    "T9": "CPU time of an idle pool in 2 s",
    "T10": "wait and as_completed",
    "T11": "Nothing degrades: too many workers, producers, pools; one CPU",
    "T12": "Compile time of a minimal file at -O2",
    "T13": "Instructions for one submit, run, get",
    "T14": "The main example programs, sequential against parallel",
    "Q1": "Calls in other processes: submit 20,000, get all; map",
    "Q2": "Round trip of one call in another process",
    "Q3": "A std::vector<char>, and an array in shared memory, to another process and back",
    "Q4": "A process pool's whole life: construct, one task each, shut down",
    "Q5": "From the SIGKILL of a worker to the exception",
}

QUICK_NOTE = "with `--quick`: a tenth of that work"


ASIO = "Asio thread_pool"
ONETBB = "oneTBB enqueue + packaged_task"
ONETBB_GROUP = "oneTBB task_group"
LOOPS = ["OpenMP (libgomp) parallel for", "OpenMP (libomp) parallel for", "oneTBB parallel_for",
         "std::execution::par"]

# What this library sets itself: (row, metric, factor, base). Its median must be at most the factor
# times the smallest median of the contestants in the base; with no base, at most the factor itself.
# They are meant for 2 CPUs and the full work.
TARGETS = [
    ("T1/submit_get", "ns/task", 1 / 4.5, [ASIO, ONETBB]),
    ("T2/fire_and_forget", "ns/task", 1 / 3, [ONETBB_GROUP]),
    ("T3/two_producers", "ns/task", 1 / 4.5, [ASIO, ONETBB]),
    ("T4/round_trip", "p50 us", 0.7, []),
    ("T4/round_trip", "p50 us", 1 / 40, [ASIO]),
    ("T4/round_trip", "p99 us", 1, [ONETBB]),
    ("T4/round_trip_after_sleep", "p50 us", 1.2, ["futex hand-over"]),
    ("T5/fib_1_worker", "ns/fork", 1, [ONETBB_GROUP]),
    ("T5/fib_all_workers", "ns/fork", 1, [ONETBB_GROUP]),
    ("T5/skynet_1_worker", "ms", 1, [ONETBB_GROUP]),
    ("T5/skynet_all_workers", "ms", 1, [ONETBB_GROUP]),
    ("T5/queens_1_worker", "ms", 1, [ONETBB_GROUP]),
    ("T5/queens_all_workers", "ms", 1, [ONETBB_GROUP]),
    ("T6/map_square", "ms", 1.05, LOOPS),
    ("T6/map_square_new_memory", "ms", 1.05, LOOPS),
    ("T6/map_30_flops", "ms", 1.05, LOOPS),
    ("T6/map_30_flops_new_memory", "ms", 1.05, LOOPS),
    ("T7/uneven_rows", "ms", 1 / 1.95, ["sequential"]),
    ("T8/pending_task", "B resident, handle included", 96, []),
    ("T9/idle", "CPU ms of the first 2 s", 0.15, []),
    ("T9/idle", "CPU ms of later 2 s", 0.15, []),
    ("T10/wait_finished_1000000", "ns/future", 100, []),
    ("T10/as_completed_finished_1000000", "ns/future", 100, []),
    ("T12/compile_time", "CPU s", 1.2, ["<thread> + <future>"]),
    ("T12/compile_time_separate", "CPU s", 1.2, ["<thread> + <future>"]),
    ("Q1/submit_get", "ns/task", 1000, []),
    ("Q1/map_chunksize_1", "ns/element", 500, []),
    ("Q1/map", "ns/element", 10, []),
    ("Q2/round_trip", "p50 us", 1, []),
    ("Q2/round_trip_after_sleep", "p50 us", 1.2, ["two pipes"]),
    ("Q3/identity_1_MiB", "ms", 0.300, []),
    ("Q3/identity_16_MiB", "ms", 8.39, []),
    ("Q3/identity_64_MiB", "ms", 33.6, []),
    ("Q4/whole_life", "p50 ms", 1.5, []),
    ("Q5/death_noticed", "p99 ms", 1, []),
]


class Failure(Exception):
    """What went wrong with one contestant."""


def log(text):
    print(text, file=sys.stderr, flush=True)


# ---------------------------------------------------------------------------------------------------
# Measuring


class Suite:
    def __init__(self, options):
        self.options = options
        self.results = []  # benchmarks as Google Benchmark writes them, with row, contestant, round
        self.failures = []
        self.context = None

    def selected(self, workload):
        return workload in self.options.only

    def add(self, row, contestant, kind, metrics, round_number):
        """Adds what was measured without Google Benchmark, in its format."""
        entry = {"name": f"{row}/{contestant}", "run_name": f"{row}/{contestant}",
                 "run_type": "iteration", "repetitions": 1, "repetition_index": 0, "threads": 1,
                 "iterations": 1, "label": kind}
        first = next(iter(metrics.values()))
        entry.update({"real_time": first, "cpu_time": first, "time_unit": "s"})
        entry.update(metrics)
        self.store(entry, row, contestant, round_number, list(metrics))

    def store(self, entry, row, contestant, round_number, metrics):
        entry.update({"row": row, "contestant": contestant, "round": round_number,
                      "metrics": metrics})
        self.results.append(entry)

    def fail(self, what, why):
        log(f"FAILED: {what}: {why}")
        self.failures.append(f"{what}: {why}")

    def run_program(self, command):
        try:
            done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                                  timeout=self.options.time_limit, check=False)
        except subprocess.TimeoutExpired:
            raise Failure(f"did not end within {self.options.time_limit} s") from None
        except OSError as error:
            raise Failure(str(error)) from None
        if done.returncode < 0:
            raise Failure(f"died of {signal.Signals(-done.returncode).name}")
        if done.returncode != 0:
            tail = (done.stderr or done.stdout).strip().splitlines()[-3:]
            raise Failure(f"exit status {done.returncode}: {' / '.join(tail)}")
        return done

    # Google Benchmark programs

    def program_options(self):
        chosen = [f"--workers={self.options.workers}", f"--samples={self.options.samples}"]
        return chosen + (["--quick"] if self.options.quick else [])

    def programs(self):
        """The contestants' programs, ours first."""
        found = []
        for folder in [self.options.build / "bench", *self.options.also]:
            found += sorted(path for path in folder.glob("bench_*")
                            if path.is_file() and os.access(path, os.X_OK)
                            and path.name != "bench_instructions")
        return sorted(found, key=lambda path: path.name != "bench_concurrent")

    def contests(self):
        """Every (workload, contestant's label, program) that the built programs offer."""
        found = []
        for program in self.programs():
            listed = self.run_program([program, *self.program_options(),
                                       "--benchmark_list_tests=true"]).stdout
            for line in listed.splitlines():
                workload, _, label = line.split("/")[:3]
                if (workload, label, program) not in found:
                    found.append((workload, label, program))
        return found

    def run_contest(self, workload, label, program, round_number):
        escaped = re.sub(r"([^\w\s,:-])", r"\\\1", label)
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out.json"
            self.run_program([program, *self.program_options(),
                              f"--benchmark_filter=^{workload}/[^/]*/{escaped}/",
                              f"--benchmark_out={out}", "--benchmark_out_format=json"])
            report = json.loads(out.read_text())
        self.context = self.context or report["context"]
        if not report["benchmarks"]:
            raise Failure("measured nothing")
        known = {"family_index", "per_family_instance_index", "repetitions", "repetition_index",
                 "threads", "iterations", "real_time", "cpu_time"}
        for entry in report["benchmarks"]:
            row = "/".join(entry["name"].split("/")[:2])
            if entry.get("error_occurred"):
                self.fail(f"{row}, {label}", entry.get("error_message", "?"))
                continue
            metrics = [key for key, value in entry.items()
                       if isinstance(value, (int, float)) and not isinstance(value, bool)
                       and key not in known]
            self.store(entry, row, label, round_number, metrics)

    def run_contests(self):
        contests = [c for c in self.contests() if self.selected(c[0])]
        broken = set()
        for workload in WORKLOADS:
            mine = [c for c in contests if c[0] == workload]
            if not mine:
                continue
            rounds = self.options.repetitions
            if workload == "T9":  # long, and steady
                rounds = min(rounds, 1 if self.options.quick else 3)
            for round_number in range(rounds):
                shift = round_number % len(mine)
                for contest in mine[shift:] + mine[:shift]:
                    if contest in broken:
                        continue
                    log(f"{workload} {round_number + 1}/{rounds} {contest[1]}")
                    try:
                        self.run_contest(*contest, round_number)
                    except Failure as failure:
                        broken.add(contest)
                        self.fail(f"{workload}, {contest[1]}", failure)

    # Compile time

    def compile_once(self, source, *definitions):
        command = [self.options.compiler, "-std=c++20", "-O2", "-DASIO_STANDALONE", *definitions,
                   f"-I{SOURCE.parent / 'include'}", "-c", source, "-o", os.devnull]
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.run_program(command)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime)

    def run_compile_time(self):
        whole, apart = "T12/compile_time", "T12/compile_time_separate"
        separate = "-DCONCURRENT_SEPARATE_COMPILATION"
        contestants = [("std", "<thread> + <future>", "bound", [whole, apart]),
                       ("concurrent", "concurrent", "ours", [whole]),
                       ("concurrent", "concurrent", "ours", [apart], separate),
                       ("onetbb", "oneTBB task_group", "peer", [whole, apart]),
                       ("asio", "Asio thread_pool", "peer", [whole])]
        rounds = 3 if self.options.quick else max(5, self.options.repetitions)
        for round_number in range(-1, rounds):  # the first one warms the file cache
            for contestant in list(contestants):
                name, label, kind, rows, *definitions = contestant
                log(f"T12 {round_number + 1}/{rounds} {label} for {' and '.join(rows)}")
                try:
                    seconds = self.compile_once(SOURCE / "compile_time" / f"{name}.cpp", *definitions)
                except Failure as failure:
                    self.fail(f"T12, {label}", failure)
                    contestants.remove(contestant)
                    continue
                if round_number < 0:
                    continue
                for row in rows:
                    self.add(row, label, kind, {"CPU s": seconds}, round_number)

    # Instructions

    def instructions(self, mode, count):
        program = self.options.build / "bench" / "bench_instructions"
        done = self.run_program(["valgrind", "--tool=callgrind", f"--callgrind-out-file={os.devnull}",
                                 program, mode, count])
        return int(re.search(r"Collected : (\d+)", done.stderr).group(1))

    def run_instructions(self):
        if not shutil.which("valgrind"):
            self.fail("T13", "valgrind is not installed")
            return
        few, many = 1_000, 11_000
        for mode in ["batch", "nested"]:
            log(f"T13 {mode}")
            try:
                each = (self.instructions(mode, many) - self.instructions(mode, few)) / (many - few)
                self.add(f"T13/instructions_{mode}", "concurrent", "ours", {"instructions": each}, 0)
            except Failure as failure:
                self.fail(f"T13, {mode}", failure)

    # Example programs

    def run_example(self, name, arguments, read, round_number):
        program = self.options.build / "examples" / name
        if not program.exists():
            raise Failure("was not built")
        with tempfile.TemporaryDirectory() as folder:
            done = self.run_program([program, *arguments, "--output", pathlib.Path(folder) / "out"])
        for contestant, kind, seconds in read(done.stdout):
            self.add(f"T14/{name}", contestant, kind, {"s": seconds}, round_number)

    def run_examples(self):
        rounds = 1 if self.options.quick else min(self.options.repetitions, 3)
        examples = [("image_processing", ["--compare"], read_image_processing),
                    ("parallel_download", ["--demo", "--compare", "--quiet"],
                     read_parallel_download)]
        for round_number in range(rounds):
            for example in list(examples):
                log(f"T14 {round_number + 1}/{rounds} {example[0]}")
                try:
                    self.run_example(*example, round_number)
                except Failure as failure:
                    self.fail(f"T14, {example[0]}", failure)
                    examples.remove(example)

    def run(self):
        self.run_contests()
        if self.selected("T12"):
            self.run_compile_time()
        if self.selected("T13"):
            self.run_instructions()
        if self.selected("T14"):
            self.run_examples()


def read_parallel_download(text):
    times = [float(value) for value in re.findall(r"Finished in ([\d.]+) seconds", text)]
    if len(times) != 2 or "the same files both times" not in text:
        raise Failure("the comparison did not succeed: " + " / ".join(text.split("\n")))
    return [("sequential", "sequential", times[0]), ("ThreadPoolExecutor", "ours", times[1])]


def read_image_processing(text):
    found = []
    for name, kind in [("sequential", "sequential"), ("thread", "ours"), ("process", "ours")]:
        # executor, workers, seconds, ...
        line = re.search(rf"^{name}\s+\d+\s+([\d.]+)", text, re.MULTILINE)
        if not line:
            raise Failure(f"no line for {name} in the comparison: " + " / ".join(text.split("\n")))
        found.append((name, kind, float(line.group(1))))
    return found  # that the pictures are identical is in the exit status


# ---------------------------------------------------------------------------------------------------
# The report


def number(value):
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def natural(row):
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", row)]


class Table:
    """One row of the suite under one metric: what each contestant measured."""

    def __init__(self, row, metric, entries, workers):
        self.row, self.metric = row, metric
        self.kinds, self.values = {}, {}
        for entry in entries:
            self.kinds[entry["contestant"]] = entry["label"]
            self.values.setdefault(entry["contestant"], []).append(entry[metric])
        self.medians = {name: statistics.median(v) for name, v in self.values.items()}
        self.peer = self.best("peer")
        self.bound_name, self.bound = self.find_bound(workers)

    def best(self, *kinds):
        of_kind = [name for name in self.medians if self.kinds[name] in kinds]
        return min(of_kind, key=self.medians.get, default=None)

    def find_bound(self, workers):
        name = self.best("bound")
        if name:
            return name, self.medians[name]
        sequential = self.best("sequential")
        if not sequential or self.row.startswith("T14"):
            return None, None
        if self.row.endswith("1_worker"):
            return "sequential", self.medians[sequential]
        return f"sequential ÷ {workers}", self.medians[sequential] / workers

    def ratio(self, name, base):
        return number(self.medians[name] / base) if base else "–"

    def lines(self):
        sequential = self.best("sequential")
        speed_up = " speed-up |" if sequential else ""
        yield f"| {self.metric} | median | spread | ÷ best peer | ÷ bound |{speed_up}"
        yield "|---|---:|---:|---:|---:|" + ("---:|" if sequential else "")
        for name in sorted(self.medians, key=self.medians.get):
            values = self.values[name]
            shown = f"**{name}**" if self.kinds[name] == "ours" else name
            if self.kinds[name] in ("bound", "related"):
                shown += f" ({self.kinds[name]})"
            peer = self.medians[self.peer] if self.peer else None
            line = (f"| {shown} | {number(self.medians[name])} | "
                    f"{number(min(values))} … {number(max(values))} | "
                    f"{self.ratio(name, peer)} | {self.ratio(name, self.bound)} |")
            if sequential:
                line += f" {number(self.medians[sequential] / self.medians[name])} |"
            yield line

    def summary(self):
        ours = self.best("ours")
        if not ours:
            return None
        peer = self.medians[self.peer] if self.peer else None
        against = f"{self.peer}: {number(peer)}" if self.peer else "–"
        bound = f"{self.bound_name}: {number(self.bound)}" if self.bound_name else "–"
        return (f"| {self.row} | {self.metric} | {number(self.medians[ours])} | {against} | "
                f"{self.ratio(ours, peer)} | {bound} | {self.ratio(ours, self.bound)} |")


def tables_of(results, workers):
    groups = {}
    for entry in results:
        for metric in entry["metrics"]:
            groups.setdefault((entry["row"], metric), []).append(entry)
    return [Table(row, metric, entries, workers)
            for (row, metric), entries in sorted(groups.items(), key=lambda g: natural(g[0][0]))]


def targets(tables):
    """The lines of the table of targets, for those whose contestants were run."""
    by_row = {(table.row, table.metric): table for table in tables}
    for row, metric, factor, base in TARGETS:
        table = by_row.get((row, metric))
        if table is None or "concurrent" not in table.medians:
            continue
        known = [name for name in base if name in table.medians]
        if base and not known:
            continue
        best = min(known, key=table.medians.get) if base else None
        limit = factor * (table.medians[best] if base else 1)
        ours = table.medians["concurrent"]
        if not base:
            asked = number(factor)
        else:
            share = f"1/{number(1 / factor)}" if factor < 1 else number(factor)
            asked = f"{share} × {number(table.medians[best])} ({best})"
        verdict = "met" if ours <= limit else f"**missed**, {number(ours / limit)} times that"
        yield f"| {row} | {metric} | {asked} | {number(limit)} | {number(ours)} | {verdict} |"


def cpu_model():
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
        return re.search(r"model name\s*: (.*)", text).group(1)
    except (OSError, AttributeError):
        return platform.processor() or platform.machine()


def machine(options, load_before):
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    compiler = subprocess.run([options.compiler, "--version"], capture_output=True, text=True,
                              check=False).stdout.splitlines()
    loads = [f"{load:.2f}" for load in (load_before, os.getloadavg()[0])]
    return [
        f"- {cpu_model()}, {len(os.sched_getaffinity(0))} CPUs usable; {system}, "
        f"Linux {platform.release()}; {compiler[0] if compiler else options.compiler}, -O3",
        f"- {options.workers} workers; {options.repetitions} rounds of {options.samples} samples"
        + (f"; {QUICK_NOTE}" if options.quick else ""),
        f"- load of the machine before {loads[0]}, after {loads[1]} (others' work makes all figures "
        "worse and the spread wide; ratios suffer less)",
    ]


def report(suite, load_before):
    options = suite.options
    tables = tables_of(suite.results, options.workers)
    lines = ["# Benchmarks of concurrent", "", f"{datetime.datetime.now():%Y-%m-%d %H:%M}", ""]
    lines += machine(options, load_before)
    lines += ["", "Lower is better everywhere. Medians over the rounds; the spread is the smallest and "
              "the largest. Ratios are of medians: below 1 is faster than the best peer.", ""]
    if suite.failures:
        lines += ["## Failed", ""] + [f"- {failure}" for failure in suite.failures] + [""]
    lines += ["## Summary", "",
              "| row | | concurrent | best peer | ÷ best peer | bound | ÷ bound |",
              "|---|---|---:|---:|---:|---:|---:|"]
    lines += [line for line in (table.summary() for table in tables) if line]
    against = list(targets(tables))
    if against:
        lines += ["", "## Targets", "", "Meant for 2 CPUs and the full work.", "",
                  "| row | | at most | that is | measured | |", "|---|---|---|---:|---:|---|",
                  *against]
    workload = None
    for table in tables:
        current = table.row.split("/")[0]
        if current != workload:
            workload = current
            lines += ["", f"## {workload}: {WORKLOADS[workload]}"]
        lines += ["", f"### {table.row.split('/')[1]}", ""]
        lines += table.lines()
    return "\n".join(lines) + "\n"


# ---------------------------------------------------------------------------------------------------


def workloads(text):
    chosen = [part.strip().upper() for part in text.split(",") if part.strip()]
    unknown = [part for part in chosen if part not in WORKLOADS]
    if unknown or not chosen:
        raise argparse.ArgumentTypeError(f"{text}: name some of {', '.join(WORKLOADS)}")
    return chosen


def positive(text):
    value = int(text) if text.isdigit() else 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: a positive number is needed")
    return value


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the build folder")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="where to write")
    parser.add_argument("--also", type=pathlib.Path, action="append", default=[],
                        help="a folder with more contestants' programs, bench_*")
    parser.add_argument("--compiler", default="c++", help="for the compile times")
    parser.add_argument("--workers", type=positive, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", type=workloads, default=list(WORKLOADS))
    parser.add_argument("--repetitions", type=positive)
    parser.add_argument("--samples", type=positive)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--time-limit", type=positive, default=300, help="seconds for one process")
    options = parser.parse_args()
    options.repetitions = options.repetitions or (2 if options.quick else 5)
    options.samples = options.samples or (2 if options.quick else 3)
    return options


def main():
    options = parse_options()
    load_before = os.getloadavg()[0]
    suite = Suite(options)
    suite.run()
    options.output.mkdir(parents=True, exist_ok=True)
    markdown = options.output / "results.md"
    text = report(suite, load_before)
    markdown.write_text(text)
    (options.output / "results.json").write_text(
        json.dumps({"context": suite.context, "benchmarks": suite.results}, indent=2) + "\n")
    print(text)
    print(f"Written to {markdown} and {options.output / 'results.json'}")
    return 1 if suite.failures or not suite.results else 0


if __name__ == "__main__":
    sys.exit(main())
