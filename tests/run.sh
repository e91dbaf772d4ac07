#!/bin/sh
# SPDX-License-Identifier: MIT
set -eu

usage() {
  cat <<'END'
Usage: tests/run.sh [OPTION...] [-- CTEST_ARGUMENT...]

Builds and runs the tests. On Debian 12 as root it first installs what is missing; elsewhere it says
what is missing and stops (status 3). Every configuration (leg) is built, then one ctest runs them all;
its summary is the last thing printed. The exit status is 0 only if everything was built and passed.

  --quick        the leg gcc alone
  --legs "A B"   these legs
  -j N           N jobs at once (default: as many as there are CPUs)
  -h, --help     this text

Legs:
  gcc      g++, optimised: library, examples, tests, the model of the lock-free parts, consumers,
           compile errors, each header alone
  clang    clang++-19, unoptimised, with the standard library's assertions: the same but the model,
           consumers and single headers; also clang-format and clang-tidy
  libcxx   clang++-19 with libc++: as clang, without the examples; here alone each file of the tests
           is compiled on its own, and what is behind the executors once for all of them
  tsan     clang++-19 with ThreadSanitizer; without the examples, whose libraries (libcurl,
           cpp-httplib) synchronise where it cannot see it
  asan     clang++-19 with AddressSanitizer, LeakSanitizer and UndefinedBehaviorSanitizer

Environment:
  BUILD_DIR                    where to build (default: build/tests in the source tree)
  CONCURRENT_TEST_TIME_LIMIT   seconds for one test case before all stacks are printed and it fails
                               (default 300; 0: none)
  CMAKE_CXX_COMPILER_LAUNCHER  for example ccache
END
}

source_dir=$(cd "$(dirname "$0")/.." && pwd)
build_dir=${BUILD_DIR:-$source_dir/build/tests}
legs='gcc clang libcxx tsan asan'
jobs=$(nproc)

fail_usage() {
  echo "$0: $1 (try --help)" >&2
  exit 2
}

while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --quick) legs=gcc ;;
    --legs) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && legs=$2 && shift ;;
    -j) [ $# -gt 1 ] || fail_usage "$1 needs an argument" && jobs=$2 && shift ;;
    -j*) jobs=${1#-j} ;;
    --) shift && break ;;
    *) fail_usage "unknown argument: $1" ;;
  esac
  shift
done
case $jobs in '' | *[!0-9]* | 0) fail_usage "-j: not a number of jobs: $jobs" ;; esac

wants() { case " $legs " in *" $1 "*) ;; *) return 1 ;; esac; }
for leg in $legs; do
  case $leg in gcc | clang | libcxx | tsan | asan) ;; *) fail_usage "there is no leg $leg" ;; esac
done
[ -n "$legs" ] || fail_usage "--legs: none given"

. "$source_dir/cmake/packages.sh"

packages='g++ cmake ninja-build pkg-config gdb catch2 libcereal-dev libcli11-dev libcpp-httplib-dev
  libcurl4-openssl-dev libjpeg-dev libssl-dev libstb-dev'
if [ "$legs" != gcc ]; then packages="$packages clang-16 clang-19 libclang-rt-19-dev llvm-19"; fi
if wants libcxx; then packages="$packages libc++-19-dev libc++abi-19-dev"; fi
if wants clang; then packages="$packages clang-format-14 clang-tidy-19"; fi
# shellcheck disable=SC2086 # packages are words
need_packages $packages
need_cmake

# A precompiled header and ccache agree only with these; without ccache they mean nothing.
export CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime

# So that a sanitiser's report has names in it.
symbolizer=external_symbolizer_path=/usr/lib/llvm-19/bin/llvm-symbolizer
export TSAN_OPTIONS="$symbolizer:${TSAN_OPTIONS:-}" ASAN_OPTIONS="$symbolizer:${ASAN_OPTIONS:-}" \
  UBSAN_OPTIONS="print_stacktrace=1:$symbolizer:${UBSAN_OPTIONS:-}"

# configure LEG COMPILER FLAGS [ARGUMENT...]
configure() {
  leg=$1 compiler=$2 flags=$3
  shift 3
  cmake -S "$source_dir" -B "$build_dir/$leg" -G Ninja -DCMAKE_CXX_COMPILER="$compiler" \
    -DCMAKE_CXX_FLAGS="$flags" -DCMAKE_BUILD_TYPE=None -DCMAKE_EXPORT_COMPILE_COMMANDS=ON \
    -DCONCURRENT_BUILD_TESTS=ON -DCONCURRENT_BUILD_EXAMPLES=ON -DCONCURRENT_BUILD_BENCH=OFF \
    -DCONCURRENT_WERROR=ON -DCONCURRENT_TEST_UNITY=ON -DCONCURRENT_TEST_PREFIX="$leg/" "$@"
}

configure_leg() {
  assertions='-D_GLIBCXX_ASSERTIONS -D_LIBCPP_HARDENING_MODE=_LIBCPP_HARDENING_MODE_EXTENSIVE'
  case $1 in
    gcc) configure gcc g++ '-O2 -g1' ;;
    clang)
      configure clang clang++-19 "-O0 -g1 $assertions" -DCONCURRENT_TEST_LINT=ON \
        -DCONCURRENT_TEST_PACKAGE=OFF -DCONCURRENT_TEST_MODEL=OFF
      ;;
    libcxx)
      # libc++ 19 keeps std::stop_token and std::jthread behind that flag.
      configure libcxx clang++-19 "-stdlib=libc++ -fexperimental-library -O0 -g1 $assertions" \
        -DCONCURRENT_BUILD_EXAMPLES=OFF -DCONCURRENT_TEST_PACKAGE=OFF -DCONCURRENT_TEST_MODEL=OFF \
        -DCONCURRENT_TEST_UNITY=OFF -DCONCURRENT_TEST_SEPARATE=ON
      ;;
    tsan)
      configure tsan clang++-19 '-O1 -g1' -DCONCURRENT_SANITIZE=thread -DCONCURRENT_BUILD_EXAMPLES=OFF
      ;;
    asan) configure asan clang++-19 "-O1 -g1 $assertions" -DCONCURRENT_SANITIZE=address,undefined ;;
  esac
}

build_leg() {
  targets='all'
  if ninja -C "$build_dir/$1" -t query all_verify_interface_header_sets >/dev/null 2>&1; then
    targets='all all_verify_interface_header_sets'
  fi
  # shellcheck disable=SC2086
  ninja -C "$build_dir/$1" -j "$jobs" -k 0 $targets
}

# The test that fails when a leg was not configured or built, with the end of what it printed.
write_build_test() {
  cat <<END
add_test([==[$1/everything is built]==] sh -c [==[test -e "$build_dir/$1.built" || { tail -n 100 "$build_dir/$1.log"; exit 1; }]==])
END
}

mkdir -p "$build_dir"
: >"$build_dir/CTestTestfile.cmake"
for leg in $legs; do
  echo "== $leg: configure and build"
  rm -f "$build_dir/$leg.built"
  # tee would hide the status.
  { { configure_leg "$leg" && build_leg "$leg" && : >"$build_dir/$leg.built"; } 2>&1 || true; } |
    tee "$build_dir/$leg.log"
  write_build_test "$leg" >>"$build_dir/CTestTestfile.cmake"
  if [ -e "$build_dir/$leg/CTestTestfile.cmake" ]; then
    echo "subdirs([==[$leg]==])" >>"$build_dir/CTestTestfile.cmake"
  fi
done

echo "== tests"
cd "$build_dir"
exec ctest -j "$jobs" --output-on-failure --no-label-summary --no-tests=error "$@"
