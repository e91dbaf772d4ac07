// SPDX-License-Identifier: MIT

// Process pools whose workers come from the program started anew: StartMethod::spawn.

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <concurrent/futures/process_pool.hpp>
#include <concurrent/multiprocessing/detail/arena.hpp>
#include <concurrent/multiprocessing/shared_array.hpp>
#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "process_pool_support.hpp"
#include "support/catch.hpp"
#include "support/program.hpp"

using namespace process_test;
using namespace std::chrono_literals;
using concurrent::futures::InvalidStateError;
using concurrent::futures::OnWorkerDeath;
using concurrent::futures::StartMethod;
using concurrent::futures::WorkerDied;
using concurrent::multiprocessing::register_exception;
using concurrent::multiprocessing::RemoteError;
using concurrent::multiprocessing::SharedArray;
using concurrent::multiprocessing::detail::Arena;
using support::matchers::contains;

namespace {

constexpr const char* dies_early = "CONCURRENT_TEST_DIES_BEFORE_MAIN";
/// A program that never comes to its main where a test asks for that.
[[maybe_unused]] const bool lives = [] {
  if (std::getenv(dies_early) != nullptr) ::_exit(3);
  return true;
}();

struct KnownEarly : std::runtime_error {
  using std::runtime_error::runtime_error;
};
struct KnownLate : std::runtime_error {
  using std::runtime_error::runtime_error;
};
[[maybe_unused]] const bool known = register_exception<KnownEarly>();

int written_in_main = 0;
std::atomic<int> initializer_ran = 0;

int cube(int x) { return x * x * x; }
using Function = int (*)(int);

struct Base {
  int value = 0;
  int added(int more) const { return value + more; }
  virtual int name() const { return 1; }
  virtual ~Base() = default;
};
struct Derived : Base {
  int name() const override { return 2; }
};
struct Plain {
  long value = 0;
  long twice() const { return 2 * value; }
};

ProcessPoolExecutor::Options spawning(std::size_t max_workers = 1) {
  return {.max_workers = max_workers, .start_method = StartMethod::spawn};
}

bool is_function(Function given) { return given != nullptr; }

/// A library that this program is not linked with, until the end of the scope.
struct Library {
  Library() = default;
  Library(const Library&) = delete;
  Library& operator=(const Library&) = delete;
  ~Library() {
    if (handle != nullptr) ::dlclose(handle);
  }

  void* const handle = ::dlopen("libthread_db.so.1", RTLD_LAZY);
  const Function function =
      handle != nullptr ? reinterpret_cast<Function>(::dlsym(handle, "td_init")) : nullptr;
};

/// Of this process, shared with others, in memory now; in KiB.
std::size_t shared_memory_in_kib() {
  std::ifstream status("/proc/self/status");
  std::size_t kib = 0;
  for (std::string word; status >> word && kib == 0;) {
    if (word == "RssShmem:") status >> kib;
  }
  return kib;
}

std::string own_path() { return std::filesystem::read_symlink("/proc/self/exe").string(); }

/// Of a pool that is broken, or will be: submit may see it already.
std::string why_broken(ProcessPoolExecutor& executor) {
  try {
    return failure_of(executor.submit(square, 2));
  } catch (const BrokenProcessPool& error) {
    return error.what();
  }
}

std::vector<int> numbers(std::size_t count) {
  std::vector<int> all(count);
  std::iota(all.begin(), all.end(), 0);
  return all;
}

}  // namespace

TEST_CASE("a spawned worker runs functions, lambdas and member functions") {
  ProcessPoolExecutor executor(spawning());
  CHECK(executor.submit(square, 7).result() == 49);
  CHECK(executor.submit([](int a, int b) { return a - b; }, 7, 2).result() == 5);
  CHECK(executor.submit(&Plain::twice, Plain{21}).result() == 42);
  CHECK(executor.submit(&Plain::value, Plain{5}).result() == 5);
  CHECK(executor.submit([](std::string text) { return text + "!"; }, std::string("hi")).result() ==
        "hi!");
}

TEST_CASE("pointers to functions mean the same in a spawned worker and back") {
  ProcessPoolExecutor executor(spawning());
  const auto cubes = [](Function given) { return given == square ? cube : nullptr; };
  CHECK(executor.submit(cubes, square).result() == cube);
  CHECK(executor.submit(cubes, cube).result() == nullptr);
  const auto swap = [](std::array<Function, 2> both) { return std::array{both[1], both[0]}; };
  CHECK(executor.submit(swap, std::array<Function, 2>{square, cube}).result() ==
        std::array<Function, 2>{cube, square});
  const auto twice = [](std::vector<Function> all) {
    all.insert(all.end(), all.begin(), all.begin() + 2);
    return all;
  };
  CHECK(executor.submit(twice, std::vector<Function>{square, cube}).result() ==
        std::vector<Function>{square, cube, square, cube});
  CHECK(executor.submit([](std::vector<Function> none) { return none; }, std::vector<Function>())
            .result()
            .empty());
  const auto of_library = [](std::size_t (*length)(const char*)) { return length("four"); };
  CHECK(executor.submit(of_library, &::strlen).result() == 4);
}

TEST_CASE("what map's function returns may be pointers to functions") {
  ProcessPoolExecutor executor(spawning());
  const auto chosen = [](int x) { return x == 0 ? square : cube; };
  CHECK(executor.map({.chunksize = 3}, chosen, std::vector<int>{0, 1, 0}).to_vector() ==
        std::vector<Function>{square, cube, square});
}

TEST_CASE("pointers to member functions mean the same in a spawned worker and back") {
  ProcessPoolExecutor executor(spawning());
  using Member = int (Base::*)(int) const;
  using Virtual = int (Base::*)() const;
  const auto calls = [](Member member) { return (Base().*member)(4); };
  CHECK(executor.submit(calls, &Base::added).result() == 4);
  CHECK(
      executor.submit([](Virtual member) { return (Derived().*member)(); }, &Base::name).result() ==
      2);
  CHECK(executor.submit([] { return &Base::added; }).result() == &Base::added);
  CHECK(executor.submit([] { return Virtual(&Base::name); }).result() == Virtual(&Base::name));
  CHECK(executor.submit([](Member member) { return member == nullptr; }, Member()).result());
}

TEST_CASE("a spawned worker is no fork: it sees static initialisation and nothing of main") {
  written_in_main = 7;
  ::setenv("CONCURRENT_TEST_VARIABLE", "inherited", 1);  // the environment is
  const ProcessPoolExecutor* made = nullptr;
  {
    ProcessPoolExecutor executor(spawning());
    made = &executor;
    CHECK(executor.submit([] { return written_in_main; }).result() == 0);
    const auto variable = executor.submit([] {
      const char* const text = std::getenv("CONCURRENT_TEST_VARIABLE");
      return std::string(text != nullptr ? text : "");
    });
    CHECK(variable.result() == "inherited");
  }
  {
    ProcessPoolExecutor forks({.max_workers = 1});
    CHECK(forks.submit([] { return written_in_main; }).result() == 7);
  }
  CHECK(made != nullptr);
  ::unsetenv("CONCURRENT_TEST_VARIABLE");
  written_in_main = 0;
}

TEST_CASE("a spawned worker has the program's name") {
  ProcessPoolExecutor executor(spawning());
  const std::string own = text_of("/proc/self/cmdline");
  const auto name = executor.submit([] { return text_of("/proc/self/cmdline"); });
  CHECK(std::string(name.result().c_str()) == own.c_str());
}

TEST_CASE("exceptions from a spawned worker keep their type and message") {
  ProcessPoolExecutor executor(spawning());
  const auto of_standard = executor.submit([] { throw std::out_of_range("too far"); });
  CHECK(fails_with<std::out_of_range>(of_standard));
  CHECK(failure_of(of_standard) == "too far");
  const auto of_library = executor.submit([] { throw InvalidStateError("not now"); });
  CHECK(fails_with<InvalidStateError>(of_library));
  const auto known_early = executor.submit([] { throw KnownEarly("registered"); });
  CHECK(fails_with<KnownEarly>(known_early));
  CHECK(failure_of(known_early) == "registered");
}

TEST_CASE("what is registered in main comes from a spawned worker as RemoteError") {
  register_exception<KnownLate>();
  ProcessPoolExecutor executor(spawning());
  const auto late = executor.submit([] { throw KnownLate("who is that"); });
  CHECK(fails_with<RemoteError>(late));
  CHECK_THAT(failure_of(late), contains("who is that"));
}

TEST_CASE("large arguments and results cross to spawned workers") {
  ProcessPoolExecutor executor(spawning(2));
  const auto doubled = [](std::vector<int> all) {
    for (int& each : all) each *= 2;
    return all;
  };
  for (const std::size_t count :
       {std::size_t{5'000}, std::size_t{1} << 18U, std::size_t{1} << 24U}) {
    const auto sent = numbers(count);
    const auto got = executor.submit(doubled, sent).result();
    REQUIRE(got.size() == count);
    std::size_t wrong = 0;
    for (std::size_t i = 0; i < count; ++i) wrong += got[i] == 2 * sent[i] ? 0U : 1U;
    CHECK(wrong == 0);
  }
}

TEST_CASE("large arguments reach a spawned worker in shared memory") {
  ProcessPoolExecutor executor(spawning());
  constexpr std::size_t one_mib = std::size_t{1} << 20U;
  const auto used = [](std::vector<int>) { return shared_memory_in_kib(); };
  CHECK(executor.submit(used, numbers(8 * one_mib)).result() >= 32 * 1024);
}

TEST_CASE("large arguments cross to spawned workers where files may not be large") {
  const ChildResult child = run_in_child([] {
    const rlimit small{std::size_t{4} << 20U, std::size_t{4} << 20U};
    std::signal(SIGXFSZ, SIG_DFL);  // whoever runs the tests may ignore it
    ::setrlimit(RLIMIT_FSIZE, &small);
    ProcessPoolExecutor executor(spawning());
    const auto size = [](std::vector<int> all) { return all.size(); };
    return executor.submit(size, numbers(std::size_t{1} << 21U)).result() == 1U << 21U ? 0 : 1;
  });
  CHECK(is_quiet(child.status));
}

TEST_CASE("a shared array is refused by a pool whose workers begin anew") {
  ProcessPoolExecutor executor({.max_workers = 1, .start_method = StartMethod::spawn});
  const auto refused =
      executor.submit([](SharedArray<int> values) { return values.size(); }, SharedArray<int>(10));
  CHECK_THAT(failure_of(refused), contains("share no memory"));
  CHECK(executor.submit([](int x) { return x; }, 5).result(60s) == 5);
}

TEST_CASE("a task in a spawned worker cannot make a shared array") {
  const SharedArray<int> mine(10);
  ProcessPoolExecutor executor({.max_workers = 1, .start_method = StartMethod::spawn});
  const auto refused = executor.submit([] { return SharedArray<int>(10); });
  CHECK_THAT(failure_of(refused), contains("make it where the pool was made"));
}

TEST_CASE("two mappings of an arena's memory show the same, and its pages can be given back") {
  const auto memory = Arena::make_memory(std::size_t{1} << 32U);
  REQUIRE(memory);
  Arena here(memory);
  const Arena there(memory);
  REQUIRE(here);
  REQUIRE(there);
  const std::size_t size = std::size_t{200} << 20U;
  const auto block = here.take(size);
  REQUIRE(block.begin != nullptr);
  block.begin[size - 1] = std::byte{42};
  const auto seen = there.bytes_of(here.message_of({block.begin, size}));
  REQUIRE(seen.size() == size);
  CHECK(seen.data() != block.begin);
  CHECK(seen[size - 1] == std::byte{42});
  struct stat status {};
  ::fstat(memory.number(), &status);
  CHECK(status.st_blocks > 0);
  here.give_back(block);
  ::fstat(memory.number(), &status);
  CHECK(status.st_blocks == 0);
}

TEST_CASE("an initializer that is a plain function runs in a spawned worker") {
  ProcessPoolExecutor::Options options = spawning();
  const auto seen = [] { return initializer_ran.load(); };
  options.initializer = +[] { initializer_ran = 11; };
  CHECK(ProcessPoolExecutor(options).submit(seen).result() == 11);
  options.initializer = +[]() noexcept { initializer_ran = 12; };
  CHECK(ProcessPoolExecutor(options).submit(seen).result() == 12);
  CHECK(initializer_ran == 0);
}

TEST_CASE("an initializer that captures is refused by a pool that spawns") {
  ProcessPoolExecutor::Options options = spawning();
  options.initializer = [value = 3] { initializer_ran = value; };
  CHECK_THROWS_AS(ProcessPoolExecutor(options), std::invalid_argument);
  CHECK_THROWS_WITH(ProcessPoolExecutor(options), contains("must be a plain function"));
  CHECK(children().empty());
}

TEST_CASE("an initializer that throws in a spawned worker breaks the pool") {
  ProcessPoolExecutor::Options options = spawning();
  options.initializer = +[] { throw std::runtime_error("no database"); };
  ProcessPoolExecutor executor(options);
  CHECK_THAT(failure_of(executor.submit(square, 1)), contains("no database"));
}

TEST_CASE("the death of a spawned worker breaks the pool") {
  ProcessPoolExecutor executor(spawning());
  const auto dies = executor.submit([] { ::raise(SIGKILL); });
  CHECK(fails_with<BrokenProcessPool>(dies));
  CHECK_THAT(failure_of(dies), contains("was killed by signal 9"));
}

TEST_CASE("spawned workers that die are replaced when the pool is told to") {
  ProcessPoolExecutor::Options options = spawning();
  options.on_worker_death = OnWorkerDeath::restart;
  ProcessPoolExecutor executor(options);
  for (int i = 0; i < 3; ++i) {
    CHECK(fails_with<WorkerDied>(executor.submit([] { ::_exit(5); })));
    CHECK(executor.submit(square, i).result() == i * i);
  }
}

TEST_CASE("a spawned worker ends after the tasks that it may do, and another takes its place") {
  ProcessPoolExecutor::Options options = spawning();
  options.max_tasks_per_child = 1;
  ProcessPoolExecutor executor(options);
  const auto pid = [] { return ::getpid(); };
  const pid_t first = executor.submit(pid).result();
  CHECK(executor.submit(pid).result() != first);
}

TEST_CASE("limits, the sandbox and timeouts hold in spawned workers") {
  ProcessPoolExecutor::Options options = spawning();
  options.limits = {.cpu_time = 1000s, .open_files = 77, .nice = 1};
  options.sandbox = true;
  options.on_worker_death = OnWorkerDeath::restart;
  ProcessPoolExecutor executor(options);
  const auto limits = executor.submit([] {
    rlimit files{};
    rlimit time{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    ::getrlimit(RLIMIT_CPU, &time);
    return std::pair(files.rlim_cur, time.rlim_cur);
  });
  CHECK(limits.result() == std::pair<rlim_t, rlim_t>(77, 1000));
  CHECK(executor.submit([] { return ::open("/dev/zero", O_RDONLY); }).result() < 0);
  const auto late = executor.submit({.timeout = 50ms}, [] {
    for (;;) ::pause();
  });
  CHECK(fails_with<concurrent::futures::TimeoutError>(late));
}

TEST_CASE("a spawned worker has none of the program's descriptors but the standard streams") {
  const int own = ::open("/dev/zero", O_RDONLY);  // not even close-on-exec
  ProcessPoolExecutor other(spawning());
  CHECK(other.submit(square, 2).result() == 4);
  ProcessPoolExecutor executor(spawning());
  const pid_t worker = executor.submit([] { return ::getpid(); }).result();
  auto in_worker = descriptors(std::to_string(worker));
  for (const int standard : {0, 1, 2}) in_worker.erase(standard);
  REQUIRE(in_worker.size() == 2);
  CHECK(in_worker.begin()->second.starts_with("socket:"));
  CHECK(in_worker.rbegin()->second.starts_with("pipe:"));
  ::close(own);
}

TEST_CASE("pools that spawn leave nothing behind") {
  { ProcessPoolExecutor warm_up(spawning()); }
  const auto descriptors_before = descriptors();
  const std::size_t threads_before = thread_count();
  for (int i = 0; i < 50; ++i) {
    ProcessPoolExecutor executor(spawning(2));
    if (i % 4 == 0) continue;
    const auto task = executor.submit(square, i);
    if (i % 4 == 1) executor.shutdown(true, true);  // mostly before the program has begun
    if (i % 4 == 2) CHECK(task.result() == i * i);
    if (i % 4 == 3) executor.kill_workers();
  }
  CHECK(descriptors() == descriptors_before);
  CHECK(within(5s, [&] { return thread_count() == threads_before; }));
  CHECK(children().empty());
}

TEST_CASE("a pool can spawn while other threads hold the locks of malloc and stdio") {
  std::atomic<bool> stop = false;
  std::vector<std::thread> threads;
  for (int i = 0; i < 3; ++i) {
    threads.emplace_back([&stop] {
      while (!stop) {
        const std::vector<std::string> strings(50, std::string(100, 'x'));
        std::fprintf(stderr, "%s", strings[0].substr(100).c_str());
      }
    });
  }
  for (int round = 0; round < 15; ++round) {
    ProcessPoolExecutor executor(spawning());
    const auto text =
        executor.submit([](std::string word) { return word + word; }, std::string("ab"));
    CHECK(text.result(60s) == "abab");
  }
  stop = true;
  for (auto& thread : threads) thread.join();
}

TEST_CASE("SIGKILL of the parent ends its spawned workers and all that tasks have started") {
  const SharedBoard shared;
  const pid_t parent = ::fork();
  if (parent == 0) {
    ProcessPoolExecutor* executor = nullptr;
    std::thread([&] { executor = new ProcessPoolExecutor(spawning()); }).join();
    const auto pids = executor->submit([] {
      const pid_t child = ::fork();
      if (child == 0) {
        ::setsid();
        for (;;) ::pause();
      }
      return std::array<pid_t, 3>{::getppid(), ::getpid(), child};
    });
    const auto all = pids.result();
    for (std::size_t i = 0; i < all.size(); ++i) board()->pid.at(i) = all[i];
    board()->flag[0] = 1;
    for (;;) ::pause();
  }
  REQUIRE(within(30s, [] { return board()->flag[0] != 0; }));
  for (std::size_t i = 0; i < 3; ++i) CHECK_FALSE(gone(board()->pid.at(i)));
  ::kill(parent, SIGKILL);
  ::waitpid(parent, nullptr, 0);
  CHECK(within(
      2s, [] { return gone(board()->pid[0]) && gone(board()->pid[1]) && gone(board()->pid[2]); }));
}

TEST_CASE("a pool that spawns says so where main has not called freeze_support") {
  auto& program = concurrent::multiprocessing::detail::spawned_program;
  const char* const name = std::exchange(program.program_name, nullptr);
  CHECK_THROWS_AS(ProcessPoolExecutor(spawning()), std::logic_error);
  CHECK_THROWS_WITH(ProcessPoolExecutor(spawning()),
                    contains("concurrent::multiprocessing::freeze_support(argc, argv);"));
  program.program_name = name;
  CHECK(children().empty());
}

TEST_CASE("a program that cannot be started anew breaks the pool, which says why") {
  const ChildResult child = run_in_child([] {
    ::setenv("CONCURRENT_TEST_VARIABLE", std::string(1 << 20U, 'x').c_str(), 1);
    ProcessPoolExecutor executor(spawning());
    std::printf("%s", why_broken(executor).c_str());
    return 0;
  });
  CHECK(is_quiet(child.status));
  CHECK_THAT(child.output, contains("could not begin: Argument list too long"));
}

TEST_CASE("a program that ends before its main breaks the pool, which says what is missing") {
  const ChildResult child = run_in_child([] {
    ::setenv(dies_early, "1", 1);
    ProcessPoolExecutor executor(spawning());
    std::printf("%s", why_broken(executor).c_str());
    return 0;
  });
  CHECK(is_quiet(child.status));
  CHECK_THAT(child.output, contains("exited with status 3, before main called freeze_support"));
}

TEST_CASE("whoever gives a program the option of spawned processes is told that it is not his") {
  const auto result = support::run_program(
      {own_path(), concurrent::multiprocessing::detail::SpawnedProgram::marker, "0"});
  CHECK(result.status == EXIT_FAILURE);
  CHECK_THAT(result.err, contains("is for processes that a process pool starts"));
}

TEST_CASE("a program that is replaced while it runs spawns itself", "[.]") {
  const std::filesystem::path path = own_path();
  if (path.filename() != "program") return;  // the test below runs a copy, and only that may go
  std::filesystem::remove(path);
  std::ofstream(path) << "something else\n";
  ProcessPoolExecutor executor(spawning());
  CHECK(executor.submit(square, 6).result(60s) == 36);
}

TEST_CASE("a program that was started by a relative path, and replaced on disk, can spawn") {
  const auto folder =
      std::filesystem::temp_directory_path() / ("concurrent-spawn-" + std::to_string(::getpid()));
  std::filesystem::create_directory(folder);
  std::filesystem::copy_file("/proc/self/exe", folder / "program");
  const auto result = support::run_program(
      {"./program", "--case", "a program that is replaced while it runs spawns itself"},
      {.directory = folder.string()});
  CHECK(result.status == 0);
  CHECK_THAT(result.out, contains("All tests passed"));
  std::filesystem::remove_all(folder);
}

TEST_CASE("a function of a library that was loaded later cannot be read in a spawned worker") {
  ProcessPoolExecutor executor(spawning());
  const Library library;
  if (library.function == nullptr) {
    WARN("not tested: there is no libthread_db");
    return;
  }
  const auto task = executor.submit(is_function, library.function);
  CHECK(fails_with<BrokenProcessPool>(task));
  CHECK_THAT(failure_of(task), contains("a function is in none of the libraries"));
}

TEST_CASE("a function of a library that main has loaded and a spawned worker has not names it") {
  const Library library;
  if (library.function == nullptr) {
    WARN("not tested: there is no libthread_db");
    return;
  }
  ProcessPoolExecutor executor(spawning());
  const auto task = executor.submit(is_function, library.function);
  CHECK_THAT(failure_of(task), contains("libthread_db.so.1, which is not loaded here"));
  ProcessPoolExecutor::Options options = spawning();
  options.initializer = reinterpret_cast<void (*)()>(library.function);
  ProcessPoolExecutor unusable(options);
  CHECK_THAT(failure_of(unusable.submit(square, 2)),
             contains("libthread_db.so.1, which is not loaded here"));
}

TEST_CASE("a function of a library that only a spawned worker has fails the task that returns it") {
  if (Library().function == nullptr) {
    WARN("not tested: there is no libthread_db");
    return;
  }
  ProcessPoolExecutor executor(spawning());
  const auto task = executor.submit([] { return (new Library)->function; });
  CHECK_THAT(failure_of(task), contains("only this worker has loaded"));
  CHECK(executor.submit(square, 3).result() == 9);
}

TEST_CASE("a spawned worker can have pools of its own, forked and spawned") {
  ProcessPoolExecutor executor(spawning());
  const auto inner = [](StartMethod method) {
    ProcessPoolExecutor own({.max_workers = 1, .start_method = method});
    const Function got =
        own.submit([](Function given) { return given == square ? cube : square; }, square).result();
    return std::pair(got, got(3));
  };
  CHECK(executor.submit(inner, StartMethod::fork).result() == std::pair<Function, int>(cube, 27));
  CHECK(executor.submit(inner, StartMethod::spawn).result() == std::pair<Function, int>(cube, 27));
}
